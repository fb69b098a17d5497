"""What is documented of the shutdowns that ship holds, because their policies and faults bring it about."""

from __future__ import annotations

from functools import cache

import facts_of_eight_countries
import facts_of_five_countries
import pytest
from documented import Fact, cell, measuring, shipped, versions, without

import shutdownlab as sl
from shutdownlab.verifier.verify import Verified

FACTS = [*facts_of_five_countries.FACTS, *facts_of_eight_countries.FACTS]
FIRST = list({fact.scenario: fact for fact in reversed(FACTS)}.values())
"""One of each shutdown."""
SCENARIOS = sorted({fact.scenario for fact in FACTS})


@cache
def verified(scenario: str, *choice: tuple[str, str]) -> Verified:
    """What is said of one that ships, under these choices: once for all facts."""
    return sl.verify(scenario, choose=dict(choice), strict=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_sources_say_of_a_shutdown_holds_under_every_account(scenario: str) -> None:
    for choice in versions(scenario):
        said = verified(scenario, *choice.items())
        assert (said.unmet, said.undecided) == ([], []), choice
        assert [str(signal) for signal in said.signals if signal.met is False] == [], choice
        assert all(result.expected for result in said)


def test_all_expectations_of_the_flagship_hold_whoever_commands() -> None:
    for command, choice in ("operators", ()), ("direct", (("command", "direct"),)):
        found = verified("kazakhstan-2022", *choice)
        assert found.choices["command"] == command
        assert (len(found.results), found.unmet, found.undecided) == (10_972, [], [])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_at_least_three_facts_of_each_shutdown_are_put_to_the_test(scenario: str) -> None:
    assert len({(fact.phase, fact.by) for fact in FACTS if fact.scenario == scenario}) >= 3


@pytest.mark.parametrize(
    "fact",
    [pytest.param(fact, id=str(fact), marks=() if fact in FIRST else pytest.mark.thorough) for fact in FACTS],
)
def test_a_fact_no_longer_holds_once_what_brings_it_about_is_taken_out(fact: Fact) -> None:
    choice = dict([fact.choose]) if fact.choose else {}
    before = cell(verified(fact.scenario, *choice.items()).results, fact)
    made = measuring(sl.load(without(fact.scenario, fact.by)), fact.target)
    after = sl.verify(made, choose=choice, at=fact.phase)
    assert before.outcome == before.expected
    assert cell(after, fact) in after.unmet


def test_the_capitals_fixed_lines_are_on_by_their_own_times_while_the_country_is_dark() -> None:
    for choice, outcome in ({}, "blocked"), ({"capital": "by-its-own-times"}, "ok"):
        found = sl.verify("kazakhstan-2022", choose=choice, at="blackout-2")
        assert cell(found, Fact("", "blackout-2", "transtelecom/nur-sultan/ordinary", "ping", "")).outcome == outcome


def test_a_sea_cable_as_a_minister_had_it_would_have_left_ugandas_exchange_alone() -> None:
    made = dict(shipped("uganda-2026"))
    ordered = {"no-public-internet", "exclusion-list", "cannot-filter"}
    cable = {
        "title": "The ways abroad are cut",
        "cut": [f"{operator} to gateway" for operator in ("mtn", "airtel", "utel")],
        "source": "ASSUMED",
    }
    made["policies"] = {name: policy for name, policy in made["policies"].items() if name not in ordered}
    made["faults"] = {"cable": cable}
    made["timeline"] = [
        phase
        | {key: [name for name in phase.get(key, []) if name not in ordered] for key in ("start", "stop")}
        | ({"faults": ["cable"]} if phase["phase"] == "suspended" else {})
        for phase in made["timeline"]
    ]
    seen = {
        result.target: result.outcome.value
        for result in sl.verify(made, at="suspended")
        if (result.operator, result.region, result.family) == ("mtn", "kampala", "ipv4")
    }
    assert seen["www.wikipedia.org"] == "down"
    assert seen["ura.go.ug"] == "ok"  # what was seen instead: the exchange fell from 72 to 1 Gbit/s
