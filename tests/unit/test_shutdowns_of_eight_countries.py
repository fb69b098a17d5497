"""Shutdowns that ship, of Afghanistan, Bangladesh, Cuba, Kashmir, Kazakhstan, Myanmar, Tanzania, Uganda and Uzbekistan.

What is documented of each holds, because its policies and faults bring it about: no longer once one is taken out.
"""

from __future__ import annotations

import pytest
from documented import Fact, cell, shipped, versions, without

import shutdownlab as sl

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
    # Given back by district, by contract and service by service.
    Fact("kashmir-2019", "all-off", "bsnl/valley/landline", "call", "landlines-silent"),
    Fact("kashmir-2019", "jammu-2g", "airtel/jammu-plains/postpaid", "speed", "two-g-jammu-plains"),
    Fact("kashmir-2019", "jammu-2g-cut", "airtel/jammu-plains/prepaid", "www.wikipedia.org", "data-off-jammu-plains"),
    Fact("kashmir-2019", "postpaid-speaks", "jio/valley/prepaid", "call", "prepaid-silent"),
    Fact("kashmir-2019", "kargil-4g", "airtel/north/postpaid", "sms", "postpaid-no-sms"),
    Fact("kashmir-2019", "hospitals", "airtel/jammu-plains/prepaid", "www.jkbank.com", "data-off-prepaid"),
    Fact("kashmir-2019", "hospitals", "bsnl/valley/hospital", "www.facebook.com", "list"),
    Fact("kashmir-2019", "hospitals", "bsnl/valley/hospital", "www.jkbank.com", "list.except"),
    Fact("kashmir-2019", "postpaid-2g", "airtel/north/postpaid", "speed", "two-g-postpaid"),
    Fact("kashmir-2019", "2g-for-all", "airtel/valley/prepaid", "vpn", "list"),
    # Order after order: a square, campuses, an app, operators one by one, gateways, routes.
    Fact("bangladesh-2024", "shahbagh", "grameenphone/shahbagh/ordinary", "speed", "shahbagh-2g"),
    Fact("bangladesh-2024", "facebook", "robi/elsewhere/ordinary", "www.facebook.com", "facebook-mobile"),
    Fact("bangladesh-2024", "grameenphone", "grameenphone/elsewhere/ordinary", "whatsapp", "grameenphone-off"),
    Fact("bangladesh-2024", "first-gateway", "robi/elsewhere/ordinary", "www.wikipedia.org", "robi-off-at-night"),
    Fact("bangladesh-2024", "first-gateway", "fiber-home", "routes", "first-gateway-gone"),
    Fact("bangladesh-2024", "dark", "link3/elsewhere/ordinary", "www.wikipedia.org", "all-gone"),
    Fact("bangladesh-2024", "dark-again", "teletalk", "routes", "all-gone"),
    Fact("bangladesh-2024", "broadband", "link3/elsewhere/ordinary", "speed", "broadband-slow"),
    Fact("bangladesh-2024", "mobile", "banglalink/elsewhere/ordinary", "whatsapp", "apps"),
    # Fibre first, then all: data, telephones, routes.
    Fact("afghanistan-2025", "fibre-off", "afghan-telecom/provinces/ordinary", "www.wikipedia.org", "fibre"),
    Fact("afghanistan-2025", "herat-curfew", "afghan-telecom/herat/ordinary", "dab.gov.af", "herat-curfew"),
    Fact("afghanistan-2025", "fixed-off", "etisalat/kabul/ordinary", "dab.gov.af", "fixed-off"),
    Fact("afghanistan-2025", "all-off", "awcc/provinces/ordinary", "www.wikipedia.org", "awcc-off"),
    Fact("afghanistan-2025", "all-off", "roshan/provinces/ordinary", "call", "phones-off"),
    Fact("afghanistan-2025", "all-off", "roshan", "routes", "gone"),
    Fact("afghanistan-2025", "kabul-last", "awcc", "routes", "gone-awcc"),
    # Sites by address, then every night without routes, then no mobile data by day either.
    Fact("myanmar-2021", "facebook", "mpt/yangon/ordinary", "whatsapp", "facebook"),
    Fact("myanmar-2021", "facebook", "frontiir/yangon/fibre", "www.facebook.com", "facebook-frontiir"),
    Fact("myanmar-2021", "facebook", "mytel/yangon/ordinary", "dns", "facebook-mytel"),
    Fact("myanmar-2021", "twitter-instagram", "frontiir/yangon/fibre", "www.instagram.com", "twitter-instagram"),
    Fact("myanmar-2021", "weekend-begins", "mytel", "routes", "dark-mpt-mytel"),
    Fact("myanmar-2021", "night-2", "telenor/elsewhere/ordinary", "www.bbc.com", "dark"),
    Fact("myanmar-2021", "night-72", "frontiir", "routes", "dark"),
    Fact("myanmar-2021", "wikipedia", "ooredoo/yangon/ordinary", "www.wikipedia.org", "wikipedia"),
    Fact("myanmar-2021", "mobile-off", "telenor/elsewhere/ordinary", "www.bbc.com", "mobile-off"),
    Fact("myanmar-2021", "fibre-only", "frontiir/yangon/wireless", "telegram", "wireless-off"),
    # Sites fall with the messengers, the west is back with the capital; what accounts say of phones and fixed lines.
    Fact("kazakhstan-2022", "messengers", "kcell/nur-sultan/ordinary", "orda.kz", "orda"),
    Fact("kazakhstan-2022", "window-1", "beeline/almaty/ordinary", "vlast.kz", "more-websites"),
    Fact(
        "kazakhstan-2022",
        "capital-fixed-back",
        "kcell/mangystau/ordinary",
        "www.wikipedia.org",
        "allowlist-capital-mobile",
    ),
    Fact(
        "kazakhstan-2022",
        "blackout",
        "tele2/mangystau/ordinary",
        "call",
        "voice-off-others",
        ("voice", "almaty-and-others"),
    ),
    Fact(
        "kazakhstan-2022",
        "messengers",
        "kcell/nur-sultan/ordinary",
        "telegram",
        "messengers-cities",
        ("messengers", "in-cities"),
    ),
    Fact(
        "kazakhstan-2022",
        "blackout",
        "transtelecom/nur-sultan/ordinary",
        "ping",
        "blackout-capital-fixed",
        ("capital", "by-its-own-times"),
    ),
]
SCENARIOS = sorted({fact.scenario for fact in FACTS})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_sources_say_of_a_shutdown_holds_under_every_account(scenario: str) -> None:
    for choice in versions(scenario):
        verified = sl.verify(scenario, choose=choice, strict=True)
        assert (verified.unmet, verified.undecided) == ([], []), choice
        assert all(result.expected for result in verified)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_at_least_three_facts_of_each_shutdown_are_put_to_the_test(scenario: str) -> None:
    assert len({(fact.phase, fact.by) for fact in FACTS if fact.scenario == scenario}) >= 3


@pytest.mark.parametrize("fact", FACTS, ids=str)
def test_a_fact_no_longer_holds_once_what_brings_it_about_is_taken_out(fact: Fact) -> None:
    choice = dict([fact.choose]) if fact.choose else {}
    before = [each for each in sl.verify(fact.scenario, choose=choice, at=fact.phase) if each.family == "ipv4"]
    after = sl.verify(without(fact.scenario, fact.by), choose=choice, at=fact.phase)
    assert cell(before, fact).outcome == cell(before, fact).expected
    assert cell([each for each in after if each.family == "ipv4"], fact) in after.unmet


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
