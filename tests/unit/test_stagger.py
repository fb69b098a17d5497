"""Operators that obey one after another: the phases that are made, who waits in them, and what is expected of whom."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.explained import explanation_lines

SOURCE = "made up"


def scenario(**stagger: Any) -> dict[str, Any]:
    dark = {"phase": "dark", "at": "2030-05-01T09:00Z", "title": "Dark", "start": ["dark", "at-the-gateway"]}
    return {
        "format": 1, "name": "turns", "title": "Turns", "topology": "two-operators",
        "policies": {
            "dark": {"title": "Dark", "block": "everything", "source": SOURCE},
            "at-the-gateway": {"title": "No DNS abroad", "block": {"ports": [53]}, "at": "gateway", "source": SOURCE},
        },
        "probes": {
            "ping": {"test": "ping", "host": "8.8.8.8"},
            "dns": {"test": "dns", "host": "www.bbc.com", "resolver": "8.8.8.8", "during": ["dark"]},
        },
        "expectations": {
            "open": [{"outcome": "ok", "source": SOURCE}],
            "dark": [{"outcome": "blocked", "source": SOURCE}],
        },
        "timeline": [
            {"phase": "quiet", "at": "2030-05-01T08:00Z", "title": "Quiet", "expect": ["open"]},
            dark | {"expect": ["dark"], "stagger": {"order": ["southcell", "northnet"], **stagger}},
            {"phase": "back", "at": "2030-05-01T12:00Z", "title": "Back", "stop": ["dark", "at-the-gateway"],
             "expect": ["open"], "stagger": {"order": ["northnet", "southcell"]}},
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def test_a_phase_becomes_one_for_each_who_obeys_and_the_others_do_what_they_did() -> None:
    made = sl.load(scenario()).scenario
    assert [phase.phase for phase in made.timeline] == ["quiet", "dark", "dark-2", "back", "back-2"]
    pings = {(r.phase, r.operator): r.outcome for r in sl.verify(scenario()) if r.target == "ping"}
    assert pings["dark", "southcell"] is Outcome.BLOCKED
    assert pings["dark", "northnet"] is Outcome.OK
    assert pings["dark-2", "northnet"] is Outcome.BLOCKED
    assert pings["back", "northnet"] is Outcome.OK
    assert pings["back", "southcell"] is Outcome.BLOCKED
    assert pings["back-2", "southcell"] is Outcome.OK


def test_who_has_not_obeyed_yet_is_expected_to_show_what_it_showed() -> None:
    found = {(r.phase, r.operator): r.expected for r in sl.verify(scenario()) if r.target == "ping"}
    assert found["dark", "southcell"] is Outcome.BLOCKED
    assert found["dark", "northnet"] is Outcome.OK
    assert found["back", "southcell"] is Outcome.BLOCKED


def test_an_explanation_says_of_who_waits_for_its_turn_when_that_is_and_of_others_nothing() -> None:
    def said(phase: str, operator: str) -> list[str]:
        found = sl.explain(scenario(), at=phase, vantage=f"{operator}/coast", target="ping")
        return [line.strip() for line in explanation_lines(found) if "as ordered" in line]

    assert said("dark", "northnet") == [
        "Not yet as ordered: northnet, whose turn comes in dark-2, until then ignores dark"
    ]
    assert said("back", "southcell") == [
        "Not yet as ordered: southcell, whose turn comes in back-2, until then keeps dark"
    ]
    assert said("dark", "southcell") == said("dark-2", "northnet") == []


def test_what_the_gateway_does_waits_for_nobody() -> None:
    asked = {(r.phase, r.operator): r.outcome for r in sl.verify(scenario()) if r.target == "dns"}
    assert asked["dark", "northnet"] is Outcome.BLOCKED
    assert ("dark-2", "northnet") in asked  # `during: [dark]` is all of them


def test_jitter_is_the_same_each_time_and_another_by_another_seed() -> None:
    def times(seed: int) -> list[float]:
        made = sl.load(scenario(apart="10min", jitter="30min", seed=seed)).scenario.timeline
        return [(each.at - made[1].at).total_seconds() for each in made[1:3]]

    assert times(1) == times(1) != times(2)
    for seed in range(20):
        assert 600 <= times(seed)[1] <= 2400


def test_operators_can_obey_together_and_those_not_named_obey_at_once() -> None:
    made = scenario()
    made["timeline"][1]["stagger"] = {"order": [["northnet", "southcell"], "third"]}
    with pytest.raises(sl.BadInput, match="third"):
        sl.load(made)
    turns = {"order": [["vodafone", "mobinil"], "etisalat"], "apart": "1min"}
    varied = sl.load("egypt-2011", set={"timeline.telephones-off.stagger": turns})
    first, second = (p for p in varied.scenario.timeline if p.phase.startswith("telephones-off"))
    assert set(first.obey) == {"etisalat"}
    assert not second.obey


def test_a_phase_that_is_made_is_reported_with_the_line_of_the_one_that_is_written() -> None:
    text = sl.load("egypt-2011")
    names = [phase.phase for phase in text.scenario.timeline]
    lines = {name: text.place(("timeline", place)) for place, name in enumerate(names)}
    assert lines["return"] == lines["return-2"]
    assert lines["noor-returns"] != lines["return"]
