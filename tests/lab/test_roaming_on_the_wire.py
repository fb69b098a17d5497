"""Subscribers who roam: their tunnels home, and what orders do to these, as the model has it."""

from __future__ import annotations

import sys
from pathlib import Path

from foretold import run_as_foretold

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from guests import STOP_GUESTS, scenario

GUESTS = "northnet/coast/guests"


def test_those_who_roam_fare_as_the_model_has_it(tmp_path: Path) -> None:
    measured = run_as_foretold(scenario(), tmp_path)
    mine = [each for each in measured.results if each.vantage == GUESTS]
    assert {each.access for each in mine} == {"roaming"}
    gone = {phase: {r.target for r in mine if r.phase == phase and not r.outcome.got_through} for phase in STOP_GUESTS}
    assert all(targets == {"bbc", "wikipedia", "bank", "ping"} for targets in gone.values())
    slow = {each.phase: each.value for each in mine if each.target == "ping"}
    assert slow["resolvers"] < 2 * 300 <= slow["slow"]
