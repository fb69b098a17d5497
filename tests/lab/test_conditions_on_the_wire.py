"""Rules on answers, autonomous systems and software, and what must not hold: real packets do as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import shutdownlab as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from conditioned import RULES, scenario


def test_what_boxes_look_for_and_what_must_not_hold_is_what_the_model_has(tmp_path: Path) -> None:
    made = scenario()
    measured = sl.run(made, tmp_path / "run")
    keys = [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure) for r in measured.results]
    model = [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure) for r in sl.verify(made)]
    assert keys == model
    assert {r.phase for r in measured.results} == set(RULES)
