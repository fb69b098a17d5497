"""What a control group freezes is seen to be held up, though its parent is not told."""

from __future__ import annotations

import subprocess
import sys
import time

import harm
import pytest

from shutdownlab.country.starvation import Starvation


@pytest.mark.skipif(not harm.can_be_frozen_by_version_2(), reason="no control groups of version 2 that we may make")
def test_a_proxy_that_a_control_group_of_version_2_freezes_is_held_up_for_as_long() -> None:
    """It is in state S then, as one is that waits for work: what lies with it comes all at once."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as proxy:
        with Starvation({proxy.pid: "the proxy"}, keepers=[proxy.pid]) as seen:
            began, end = time.monotonic(), time.monotonic() + 60
            while time.monotonic() < began + 0.5:
                time.sleep(0.05)
                seen.look()
            rested = time.monotonic()
            assert not seen.held_up(began, rested, 0.2, keepers=True), "it only waits for a line"
            with harm.frozen_by_version_2(proxy.pid):
                while not (said := seen.held_up(rested, time.monotonic(), 0.5, keepers=True)):
                    assert time.monotonic() < end
                    time.sleep(0.05)
            assert said.startswith("the proxy had no processor for 0.")
        assert proxy.stdin is not None
        proxy.stdin.close()
