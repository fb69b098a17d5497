"""Shutdowns that ship, of Afghanistan, Bangladesh, Cuba, Kashmir, Myanmar, Tanzania, Uganda and Uzbekistan.

What is documented of each holds, because its policies and faults bring it about: no longer once one is taken out.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import pytest

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.config.document import parse
from shutdownlab.results.result import Result


class Fact(NamedTuple):
    """Something documented, and what brings it about."""

    scenario: str
    phase: str
    where: str
    """Operator and, of what has a vantage point, region and group: `mtn/kampala/ordinary`."""
    target: str
    without: str
    """The policy or fault that is taken out, or whose `except` is: `NAME.except`."""
    choose: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.scenario}, {self.phase}: {self.target} at {self.where} by {self.without}"


FACTS = [
    # One region is off, mobile first, then fixed lines, and a card is no use there.
    Fact("karakalpakstan-2022", "mobile-off", "beeline/karakalpakstan/ordinary", "telegram", "mobile-off"),
    Fact("karakalpakstan-2022", "off-again", "ucell/karakalpakstan/ordinary", "uzcard.uz", "mobile-off"),
    Fact("karakalpakstan-2022", "all-off", "uztelecom/karakalpakstan/ordinary-fixed", "www.wikipedia.org", "fixed-off"),
    Fact(
        "karakalpakstan-2022",
        "all-off",
        "uztelecom/karakalpakstan/ordinary-fixed",
        "speed",
        "fixed-crawls",
        ("rest", "a-crawl"),
    ),
    # All is off with its routes up; seven apps stay away.
    Fact("tanzania-2025", "dark", "vodacom/elsewhere/ordinary", "www.wikipedia.org", "dark"),
    Fact("tanzania-2025", "dark-again", "ttcl/elsewhere/ordinary", "ping", "dark"),
    Fact("tanzania-2025", "apps-blocked", "yas/dar-es-salaam/ordinary", "x", "apps"),
    # Off for minutes, then apps by name, which Messenger's test does not meet; a VPN is no app.
    Fact("cuba-2021", "all-off", "etecsa/havana/ordinary-fixed", "twitter", "all-off"),
    Fact("cuba-2021", "outage-2", "etecsa/elsewhere/ordinary", "whatsapp", "mobile-outage"),
    Fact("cuba-2021", "apps", "etecsa/havana/ordinary", "www.facebook.com", "apps"),
    Fact("cuba-2021", "apps", "etecsa/elsewhere/ordinary-fixed", "telegram-1", "telegram"),
    Fact("cuba-2021", "apps", "etecsa/havana/ordinary", "vpn", "vpn-blocked", ("vpn", "blocked")),
    # A written order: the public is off, institutions reach what a list names, who cannot filter is off altogether.
    Fact("uganda-2026", "suspended", "mtn/elsewhere/ordinary", "www.wikipedia.org", "no-public-internet"),
    Fact("uganda-2026", "suspended", "airtel/kampala/ordinary", "ura.go.ug", "no-public-internet"),
    Fact("uganda-2026", "suspended", "utel/kampala/hospital", "www.wikipedia.org", "exclusion-list"),
    Fact("uganda-2026", "suspended", "utel/kampala/bank", "ura.go.ug", "exclusion-list.except"),
    Fact("uganda-2026", "suspended", "provider/kampala/hospital", "www.ec.or.ug", "cannot-filter"),
    Fact("uganda-2026", "restored", "mtn/kampala/ordinary", "telegram", "apps"),
    Fact("uganda-2026", "baseline", "mtn/kampala/ordinary", "www.facebook.com", "facebook"),
]
SCENARIOS = sorted({fact.scenario for fact in FACTS})


def options(scenario: str) -> list[dict[str, str]]:
    """The defaults, and every other version of every account by itself."""
    accounts = library.load(scenario).scenario.accounts
    others = [
        {name: option} for name, account in accounts.items() for option in account.options if option != account.default
    ]
    return [{}, *others]


@cache
def shipped(scenario: str) -> dict[str, Any]:
    return dict(parse(dict(library.shipped("scenarios"))[scenario].read_bytes(), scenario).data)


def without(scenario: str, name: str) -> dict[str, Any]:
    """The scenario as if this policy or fault had never been, or a policy had no exceptions."""
    policy, _, key = name.partition(".")
    made = dict(shipped(scenario))
    if key:
        changed = {what: value for what, value in made["policies"][policy].items() if what != key}
        return made | {"policies": made["policies"] | {policy: changed}}
    assert (policy in made["policies"]) != (policy in made.get("faults", {}))
    for kind in ("policies", "faults"):
        if kind in made:
            made[kind] = {other: value for other, value in made[kind].items() if other != policy}
    made["timeline"] = [
        phase
        | {
            key: [other for other in phase[key] if other != policy]
            for key in ("start", "stop", "faults")
            if key in phase
        }
        for phase in made["timeline"]
    ]
    accounts = made.get("accounts", {})
    made["accounts"] = {
        question: account
        | {
            "options": {
                option: says | {"without": [other for other in says.get("without", []) if other != policy]}
                for option, says in account["options"].items()
            }
        }
        for question, account in accounts.items()
    }
    return made


def cell(results: list[Result], fact: Fact) -> Result:
    """The one cell that the fact is about, over IPv4."""
    found = [
        result
        for result in results
        if (result.phase, result.target, result.family) == (fact.phase, fact.target, "ipv4")
        and "/".join(filter(None, (result.operator, result.region, result.subscriber))) == fact.where
    ]
    assert len(found) == 1, f"{fact}: {len(found)} cells"
    return found[0]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_sources_say_of_a_shutdown_holds_under_every_account(scenario: str) -> None:
    for choice in options(scenario):
        verified = sl.verify(scenario, choose=choice, strict=True)
        assert not verified.unmet, (choice, verified.unmet[:3])
        assert all(result.expected for result in verified)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_at_least_three_facts_of_each_shutdown_are_put_to_the_test(scenario: str) -> None:
    assert len({(fact.phase, fact.without) for fact in FACTS if fact.scenario == scenario}) >= 3


@pytest.mark.parametrize("fact", FACTS, ids=str)
def test_a_fact_no_longer_holds_once_what_brings_it_about_is_taken_out(fact: Fact) -> None:
    choice = dict([fact.choose]) if fact.choose else {}
    made = without(fact.scenario, fact.without)
    before = cell(list(sl.verify(fact.scenario, choose=choice, at=fact.phase)), fact)
    after = sl.verify(made, choose=choice, at=fact.phase)
    assert before.outcome == before.expected
    assert cell(list(after), fact) in list(after.unmet)


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
