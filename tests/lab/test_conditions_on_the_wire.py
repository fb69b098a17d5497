"""Rules on answers, autonomous systems and software, and what must not hold: real packets do as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from foretold import run_as_foretold

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from conditioned import RULES, scenario

pytestmark = pytest.mark.thorough


def test_what_boxes_look_for_and_what_must_not_hold_is_what_the_model_has(tmp_path: Path) -> None:
    made = scenario()
    measured = run_as_foretold(made, tmp_path)
    assert {r.phase for r in measured.results} == set(RULES)
