"""What a control group freezes is seen to be held up, though its parent is not told."""

from __future__ import annotations

import subprocess
import sys
import time

import harm
import pytest

from shutdownlab.country.starvation import Starvation


@pytest.mark.skipif(not harm.can_be_frozen_by_version_2(), reason="no control groups of version 2 that we may make")
@pytest.mark.parametrize("keeps", [True, False], ids=["a proxy", "a switch"])
def test_what_a_control_group_of_version_2_freezes_is_held_up_for_as_long(keeps: bool) -> None:
    """It is in state S then, as one is that waits for work: what lies with a proxy comes all at once."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as carrier:
        with Starvation({carrier.pid: "the carrier"}, keepers=[carrier.pid] if keeps else []) as seen:
            began, end = time.monotonic(), time.monotonic() + 60
            while time.monotonic() < began + 1.0:
                time.sleep(0.05)
                seen.look()
            rested = time.monotonic()
            assert not seen.held_up(began, rested, 0.2, keepers=keeps), "it only waits for a line"
            with harm.frozen_by_version_2(carrier.pid):
                while not (said := seen.held_up(rested, time.monotonic(), 0.5, keepers=keeps)):
                    assert time.monotonic() < end
                    time.sleep(0.05)
                    seen.look()
            frozen_s = time.monotonic() - rested
            assert said.startswith("the carrier had no processor for ")
            assert float(said.split()[6]) <= frozen_s, "the second in which it only rested is no part of it"
        assert carrier.stdin is not None
        carrier.stdin.close()
