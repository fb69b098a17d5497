"""Subscribers with dishes: past the national gateway and whatever is ordered, as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from above import scenario


def test_dishes_are_past_the_gateway_and_all_orders_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = sl.run(made, tmp_path / "run")
    found = {(r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in measured.results}
    model = {(r.phase, r.vantage, r.target, r.family.value): (r.outcome.value, r.failure) for r in sl.verify(made)}
    assert found == model
    above = [r for r in measured.results if r.operator == "dishes" and r.region and r.target != "bank"]
    assert {r.phase for r in above if r.outcome is not Outcome.OK} == {"ground-off", "hijacked"}
    assert {r.access for r in above} == {"satellite"}
    slow = {r.phase: r.value for r in measured.results if r.operator == "dishes" and r.target == "ping"}
    assert slow["jammed"] > slow["boxes"] + 500  # there and back, in ms
