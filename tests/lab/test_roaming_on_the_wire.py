"""Subscribers who roam: their tunnels home, and what orders do to these, as the model has it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
import yaml
from foretold import run_as_foretold
from invocation import finished, signal_inside, under_way, wait_for_event

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from guests import STOP_GUESTS, scenario

pytestmark = pytest.mark.thorough

GUESTS = "northnet/coast/guests"
STRUCK = {"resolvers": signal.SIGKILL, "own-alone": signal.SIGSTOP}
"""What happens to the process that carries what is in the tunnels, by phase; all of them let those who roam through."""


def test_roaming_subscribers_fare_as_the_model_has_it(tmp_path: Path) -> None:
    measured = run_as_foretold(scenario(), tmp_path)
    mine = [each for each in measured.results if each.vantage == GUESTS]
    assert {each.access for each in mine} == {"roaming"}
    gone = {phase: {r.target for r in mine if r.phase == phase and not r.outcome.got_through} for phase in STOP_GUESTS}
    assert all(targets == {"bbc", "wikipedia", "bank", "ping"} for targets in gone.values())
    slow = {each.phase: each.value for each in mine if each.target == "ping"}
    assert slow["resolvers"] < 2 * 300 <= slow["slow"]


def test_tunnels_that_nobody_carries_are_a_fault_of_the_testbed_and_no_block(tmp_path: Path) -> None:
    made = scenario()
    made["timeline"] = [phase for phase in made["timeline"] if phase["phase"] in STRUCK]
    for phase in made["timeline"]:
        phase["stop"] = [] if phase is made["timeline"][0] else [made["timeline"][0]["phase"]]
    made["probes"] = {"bbc": {"test": "web", "url": "https://www.bbc.com/", "from": {"access": ["roaming"]}}}
    (tmp_path / "land.yaml").write_text(yaml.safe_dump(made["topology"]))
    made["topology"] = "land.yaml"
    (tmp_path / "guests.yaml").write_text(yaml.safe_dump(made))
    with under_way(tmp_path, "guests.yaml") as (process, record):
        for phase, number in STRUCK.items():
            wait_for_event(process, record, "confirmed", phase)
            signal_inside(process, "home-tunnels", number)
        done = finished(process)
    assert done.code == 0, done.output
    assert [row["outcome"] for row in record.rows] == ["ok"] * 2 * len(STRUCK)
    told = {event["phase"]: " ".join(event["reasons"]) for event in record.events_of("voided")}
    assert told.keys() == STRUCK.keys()
    assert "home-tunnels was killed" in told["resolvers"]
    assert "home-tunnels was stopped for a while" in told["own-alone"]
