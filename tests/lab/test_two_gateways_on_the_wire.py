"""Two gateways with real packets: what is ordered, broken or cut at one leaves those at the other alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from foretold import run_as_foretold

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from two_gateways import AWAY, scenario

pytestmark = pytest.mark.thorough


def test_each_gateway_stops_those_who_are_at_it_alone_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    stopped = {
        phase: {r.operator for r in measured.results if r.phase == phase and r.target == "bbc" and r.outcome != "ok"}
        for phase in AWAY
    }
    assert stopped == AWAY
