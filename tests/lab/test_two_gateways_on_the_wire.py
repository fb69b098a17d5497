"""Two gateways with real packets: what is ordered, broken or cut at one leaves those at the other alone."""

from __future__ import annotations

import sys
from pathlib import Path

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from two_gateways import AWAY, scenario


def test_each_gateway_stops_those_who_are_at_it_alone_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = sl.run(made, tmp_path / "run")
    found = {(r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in measured.results}
    model = {(r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in sl.verify(made)}
    assert found == model
    stopped = {
        phase: {r.operator for r in measured.results if r.phase == phase and r.target == "bbc" and r.outcome != "ok"}
        for phase in AWAY
    }
    assert stopped == AWAY
