"""Subscribers with dishes: past the national gateway and whatever is ordered, as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from foretold import run_as_foretold

from shutdownlab.model.scenario import Outcome

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from above import scenario

pytestmark = pytest.mark.thorough


def test_dishes_are_past_the_gateway_and_all_orders_as_the_model_has_it(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    above = [r for r in measured.results if r.operator == "dishes" and r.region and r.target != "bank"]
    assert {r.phase for r in above if r.outcome is not Outcome.OK} == {"ground-off", "hijacked"}
    assert {r.access for r in above} == {"satellite"}
    slow = {r.phase: r.value for r in measured.results if r.operator == "dishes" and r.target == "ping"}
    there_and_back = 2 * (300 + 20)  # ms: the jammers' and the line's own
    assert slow["boxes"] < there_and_back <= slow["jammed"]
