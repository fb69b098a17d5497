"""Web sites abroad, of which outsiders' signals are made, are told apart where anything could: else one is followed."""

from __future__ import annotations

from typing import Any

import pytest

from shutdownlab.config.document import parse
from shutdownlab.library import load, shipped
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.model.topology import Vantage
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.outside import Outside

ONE, OTHER = "www.wikipedia.org", "www.facebook.com"
"""Two sites of one network abroad, with the same servers."""


def outside(topology: Any = "two-operators", **policy: Any) -> Outside:
    scenario = {
        "format": 1, "name": "one-policy", "title": "", "topology": topology,
        "policies": {"one": {"title": "", "source": "made up"} | policy},
        "probes": {"page": {"test": "web", "url": f"https://{OTHER}/"}},
        "timeline": [{"phase": "then", "at": "2030-01-01T00:00Z", "title": "", "start": ["one"]}],
        "ends": "2030-01-01T05:00Z",
    }  # fmt: skip
    return Outside(load(scenario), {})


def ordinary(seen: Outside) -> list[Vantage]:
    return [each for each in seen.shutdown.network.vantages if each.is_ordinary]


def kinds_of_the_two(seen: Outside) -> int:
    """How many kinds they are; what is got of all sites is what comes of each followed alone."""
    phase, verifier = seen.shutdown.scenario.timeline[0], seen.verifier
    assert {"page of wikipedia", "page of facebook"} < set(seen.sites.pages)
    for vantage in ordinary(seen):
        cells = [Cell(phase.phase, vantage.id.operator, vantage, name, Family.IPV4) for name in seen.sites.pages]
        got = [verifier.verdict(phase, cell).outcome is Outcome.OK for cell in cells]
        assert seen.sites.volume(verifier, phase, vantage) == sum(got) / len(got), vantage.id
    hosted = [seen.shutdown.network.hosted_as(name) for name in (ONE, OTHER)]
    return len({verifier.classes.site(each) for each in hosted if each is not None})


@pytest.mark.parametrize(
    "policy",
    [
        {"block": {"apps": ["whatsapp"]}},
        {"block": {"sites": ["www.bbc.com"]}},
        {"block": {"everything": True}},
        {"inspect": [{"name": "a", "when": {"name_suffix": "bbc.com"}, "verdict": "drop"}]},
        {"inspect": [{"name": "a", "when": {"protocol": "tls"}, "verdict": "drop"}]},
    ],
    ids=["an app", "another site", "everything", "a rule about another site", "all TLS, which DNS over HTTPS is not"],
)
def test_sites_that_nothing_tells_apart_are_of_one_kind(policy: dict[str, Any]) -> None:
    assert kinds_of_the_two(outside(**policy)) == 1


@pytest.mark.parametrize(
    "when",
    [
        {"name_exact": ONE},
        {"name_suffix": "wikipedia.org"},
        {"name_contains": "wikip"},
        {"name_regex": "^www[.]w"},
        {"keyword": "wikip"},
        {"app": "wikipedia"},
        {"not": {"name_exact": ONE}},
        {"address": "91.198.174.192/32"},
    ],
    ids=["its name", "its domain", "a part of it", "a pattern", "a keyword", "its app", "all but it", "its address"],
)
def test_a_site_that_a_rule_of_boxes_is_about_is_distinguished(when: dict[str, Any]) -> None:
    assert kinds_of_the_two(outside(inspect=[{"name": "a", "when": when, "verdict": "drop"}])) == 2


def test_a_site_whose_address_is_blocked_is_distinguished() -> None:
    assert kinds_of_the_two(outside(block={"addresses": ["91.198.174.192/32"]})) == 2


def test_a_site_that_has_servers_in_the_country_too_is_distinguished() -> None:
    topology = dict(parse(dict(shipped("topologies"))["two-operators"].read_bytes(), "two-operators").data)
    north = topology["operators"]["northnet"]
    caches = {"caches": {"class": "datacentre", "access": "fixed", "anycast": ["wikipedia"]}}
    regions = north["regions"] | {"coast": north["regions"]["coast"] | caches}
    topology["operators"] = topology["operators"] | {"northnet": north | {"regions": regions}}
    seen = outside(topology | {"name": "caches"}, block="everything", at="gateway")
    assert kinds_of_the_two(seen) == 2
    assert {seen.sites.volume(seen.verifier, seen.shutdown.scenario.timeline[0], v) for v in ordinary(seen)} == {1 / 9}


def test_a_site_whose_addresses_are_hijacked_in_a_phase_is_followed_alone() -> None:
    seen = outside(hijack={"prefix": "91.198.174.0/24", "by": "northnet", "to": "everywhere"})
    kinds_of_the_two(seen)
    phase = seen.shutdown.scenario.timeline[0]
    assert {seen.sites.volume(seen.verifier, phase, vantage) for vantage in ordinary(seen)} == {8 / 9}
