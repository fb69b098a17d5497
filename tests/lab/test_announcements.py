"""Prefixes are hijacked, leaked and announced in parts by real BGP, and every cell comes out as the model has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.results.result import Result

pytestmark = pytest.mark.thorough

MADE_UP = {"title": "All", "source": "made up"}
BBC = "151.101.0.0/24"


def country() -> dict[str, Any]:
    """Three operators: one with two providers, one with the second of them alone, and a customer of the first one."""
    ordinary = {"ordinary": {"access": "fixed"}}
    bank = {"class": "datacentre", "access": "fixed", "serves": ["kaspi"]}
    return {
        "format": 1, "name": "three", "title": "Three operators", "country": "ZZ",
        "links": {"fixed": {"bandwidth": "100mbit"}, "transit": {"bandwidth": "1gbit"}},
        "regions": {"capital": {"title": "Capital", "weight": 1}},
        "operators": {
            "both": {
                "title": "Both", "asn": 64501, "subscribers": 1, "prefixes": ["100.64.0.0/16", "2001:db8:64::/48"],
                "transit": ["one", "two"],
                "regions": {"capital": {**ordinary, "bank": bank}},
            },
            "far": {
                "title": "Far", "asn": 64502, "subscribers": 1, "prefixes": ["100.65.0.0/16", "2001:db8:65::/48"],
                "transit": ["one"], "exchange": False, "regions": {"capital": ordinary},
            },
            "below": {
                "title": "Below", "asn": 64503, "subscribers": 1, "prefixes": ["100.66.0.0/16", "2001:db8:66::/48"],
                "transit": ["both"], "regions": {"capital": ordinary},
            },
        },
        "gateway": {"title": "Gateway"}, "exchange": {"title": "Exchange", "asn": 64599},
        "transits": {
            "one": {"title": "One", "asn": 64601, "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                    "serves": ["wikipedia", "google-dns"]},
            "two": {"title": "Two", "asn": 64602, "prefixes": ["203.0.113.0/24", "2001:db8:72::/48"],
                    "serves": ["bbc", "telegram"]},
        },
    }  # fmt: skip


ORDERS: dict[str, dict[str, Any]] = {
    "same": {"hijack": {"prefix": BBC, "by": "below"}},
    "same-at-home": {"hijack": {"prefix": BBC, "by": "below", "to": "home"}},
    "part-of-far": {"hijack": {"prefix": "100.65.1.0/24", "by": "both"}},
    "whole-of-far": {"hijack": {"prefix": "100.65.0.0/16", "by": "below"}},
    "halves-of-far": {"announce": {"prefixes": ["100.65.0.0/17", "100.65.128.0/17"]}, "where": {"operators": ["far"]}},
    "six": {"hijack": {"prefix": "2001:db8:65::/48", "by": "both"}},
    "to-one": {"leak": {"prefix": BBC, "by": "both", "to": "one"}},
    "to-exchange": {"leak": {"prefix": BBC, "by": "both", "to": "exchange"}},
}


def scenario() -> dict[str, Any]:
    phases: list[dict[str, Any]] = [
        {},
        *({"start": [name], "stop": list(ORDERS)[place - 1 : place]} for place, name in enumerate(ORDERS)),
        {"stop": ["to-exchange"], "start": ["whole-of-far", "halves-of-far"]},
        {"stop": ["whole-of-far", "halves-of-far"], "start": ["same"], "faults": ["cable"]},
        {"stop": ["same"], "start": ["to-one"], "obey": {"both": {"ignores": ["to-one"]}}},
        {"stop": ["to-one"]},
    ]
    named = ("quiet", *(f"{name}-on" for name in ORDERS), "defended", "cut", "disobeyed", "back")
    return {
        "format": 1, "name": "announced", "title": "Announced", "topology": country(),
        "policies": {name: MADE_UP | order for name, order in ORDERS.items()},
        "faults": {"cable": MADE_UP | {"cut": ["two to gateway"]}},
        "probes": {
            "bbc": {"test": "web", "url": "https://www.bbc.com/"},
            "wiki": {"test": "web", "url": "https://www.wikipedia.org/", "families": ["ipv4", "ipv6"]},
            "bank": {"test": "web", "url": "https://kaspi.kz/", "families": ["ipv4"]},
            "ping": {"test": "ping", "host": "8.8.8.8"},
        },
        "observations": {
            "routes": {"observer": "bgp", "families": ["ipv4", "ipv6"]},
            "origins": {"observer": "bgp", "sees": "origins", "families": ["ipv4", "ipv6"]},
        },
        "timeline": [
            {"phase": name, "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
            for number, (name, phase) in enumerate(zip(named, phases, strict=True))
        ],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip


def rows(results: Iterable[Result]) -> list[tuple[object, ...]]:
    return [(r.phase, r.vantage, r.operator, r.target, r.family, r.outcome, r.failure) for r in results]


def test_packets_follow_what_routers_announce_and_outsiders_see_whose_it_is(tmp_path: Path) -> None:
    made = scenario()
    measured = sl.run(made, tmp_path / "run")
    assert rows(measured.results) == rows(sl.verify(made))
    found = {(r.phase, r.operator, r.target, r.family): r.outcome for r in measured.results}
    four, six, ok, blocked = Family.IPV4, Family.IPV6, Outcome.OK, Outcome.BLOCKED
    assert {o for (p, *_), o in found.items() if p in {"quiet", "back"}} == {ok}
    for operator in ("both", "far", "below"):  # a customer's route is preferred abroad, too
        assert found["same-on", operator, "bbc", four] is blocked
    assert found["same-on", "below", "origins", four] is blocked
    assert found["same-on", "both", "origins", four] is ok
    assert found["same-at-home-on", "both", "bbc", four] is blocked  # a member of the exchange
    assert found["same-at-home-on", "far", "bbc", four] is ok
    assert found["same-at-home-on", "below", "origins", four] is ok  # nobody abroad hears of it
    assert found["part-of-far-on", "far", "wiki", four] is blocked
    assert found["part-of-far-on", "far", "wiki", six] is ok
    assert found["part-of-far-on", "far", "origins", four] is blocked
    assert found["part-of-far-on", "far", "routes", four] is ok
    assert found["six-on", "far", "wiki", six] is blocked
    assert found["defended", "far", "wiki", four] is ok


def test_a_leaked_route_leads_by_way_of_who_leaks_it() -> None:
    with sl.lab(scenario(), at="quiet") as lab:
        one, two = address_of(lab, "one", "gateway"), address_of(lab, "two", "gateway")
        border, member = address_of(lab, "both-border", "intl"), address_of(lab, "both-border", "ix")
        assert (next_hop(lab, "far-border"), next_hop(lab, "below-border")) == (one, two)
        lab.phase("to-one-on")
        assert (next_hop(lab, "far-border"), next_hop(lab, "below-border")) == (border, two)
        assert lab.probe("far/capital", "bbc").outcome == "ok"
        lab.phase("to-exchange-on")
        assert (next_hop(lab, "far-border"), next_hop(lab, "below-border")) == (one, member)
        assert lab.probe("below/capital", "bbc").outcome == "ok"
        lab.phase("back")
        assert (next_hop(lab, "far-border"), next_hop(lab, "below-border")) == (one, two)


def next_hop(lab: sl.Lab, router: str) -> str:
    """Where the kernel of a router sends what is for the BBC."""
    got = lab.exec(router, ["ip", "route", "get", "151.101.0.81"], check=True)
    return str(got.stdout.split(" via ")[1].split()[0])


def address_of(lab: sl.Lab, router: str, port: str) -> str:
    shown = lab.exec(router, ["ip", "-4", "-o", "addr", "show", port], check=True)
    return str(shown.stdout.split(" inet ")[1].split("/")[0])
