"""A testbed that loses packets of full size: what fails by that is not blocked."""

from __future__ import annotations

import os
from pathlib import Path

import harm
import outside
import pytest
from invocation import Json, small

import shutdownlab as sl

pytestmark = pytest.mark.thorough

CELLS = [(place, "speed", "ipv4") for place in ("northnet/capital", "southcell/capital")]


def fetching(scenario: Json) -> None:
    """A file is fetched, in packets as large as they may be."""
    scenario["probes"] = {"speed": {"test": "throughput", "url": "https://www.bbc.com/bytes/1000000"}}
    baseline, *_ = scenario["timeline"]
    scenario["timeline"] = [baseline]


def test_what_an_interface_on_the_way_is_too_narrow_for_is_unknown_and_not_blocked(tmp_path: Path) -> None:
    with sl.lab(small(tmp_path, fetching)) as lab:
        assert {found.outcome.value for _, found in lab.measure(CELLS)} == {"ok"}
        switch = next(pid for pid in outside.descendants(os.getpid()) if outside.names(pid) == "ovs-vswitchd")
        harm.harm(os.getpid(), switch, "mtu")
        narrowed = [found for _, found in lab.measure(CELLS)]
        assert "blocked" not in {found.outcome.value for found in narrowed}
        assert any("controls failed: path " in (found.failure or "") for found in narrowed)
