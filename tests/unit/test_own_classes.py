"""Classes of subscribers of a country's own: by contract, by calling, by favour."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.model.topology import Access, OwnClass, Subscribers, shares_of

POSTPAID = OwnClass(title="Postpaid", share=0.25)
PREPAID = OwnClass(title="Prepaid", share=0.75)
STATE = OwnClass.model_validate({"title": "White SIM cards", "is": "government"})


def group(class_: str, share: float | None = None) -> Subscribers:
    return Subscribers.model_validate({"class": class_, "access": Access.MOBILE, "share": share})


def scenario() -> dict[str, Any]:
    """A country where businesses and white SIM cards are let through, by switches and by DPI boxes."""
    topology = {
        "format": 1, "name": "favours", "title": "", "country": "ZZ",
        "links": {"fixed": {"delay": "2ms"}, "mobile": {"delay": "5ms"}, "transit": {"delay": "5ms"}},
        "classes": {"pro": {"title": "Internet Pro", "share": 0.1}, "white": {"title": "White", "is": "government"}},
        "regions": {"capital": {"title": "Capital", "weight": 1}},
        "operators": {
            "one": {
                "title": "One", "asn": 64501, "subscribers": 2, "transit": ["world"],
                "prefixes": ["100.64.0.0/16", "2001:db8:64::/48"],
                "regions": {
                    "capital": {
                        "people": {"access": "mobile"},
                        "pro": {"class": "pro", "access": "mobile"},
                        "white": {"class": "white", "access": "mobile"},
                        "state": {"class": "government", "access": "mobile"},
                    }
                },
            }
        },
        "gateway": {"title": "Gateway"}, "exchange": {"title": "Exchange", "asn": 64599},
        "transits": {
            "world": {
                "title": "World", "asn": 64601, "prefixes": ["198.51.100.0/24", "2001:db8:71::/48"],
                "serves": ["wikipedia", "bbc", "google-dns"],
            }
        },
    }  # fmt: skip
    named = [{"name": "bbc", "when": {"name_suffix": ["bbc.com"], "subscriber_class": ["pro"]}, "verdict": "drop"}]
    return {
        "format": 1, "name": "favours", "title": "", "topology": topology,
        "policies": {
            "spared": {"title": "", "block": "everything", "except": {"subscribers": ["pro", "white"]}, "source": "x"},
            "state": {"title": "", "block": "everything", "where": {"subscribers": ["government"]}, "source": "x"},
            "people": {"title": "", "block": "everything", "where": {"subscribers": ["ordinary"]}, "source": "x"},
            "boxes": {"title": "", "inspect": named, "source": "x"},
        },
        "probes": {"bbc": {"test": "web", "url": "https://www.bbc.com/"}},
        "timeline": [
            {"phase": "spared", "at": "2030-01-01T00:00Z", "title": "", "start": ["spared"]},
            {"phase": "state", "at": "2030-01-01T01:00Z", "title": "", "stop": ["spared"], "start": ["state"]},
            {"phase": "people", "at": "2030-01-01T02:00Z", "title": "", "stop": ["state"], "start": ["people"]},
            {"phase": "boxes", "at": "2030-01-01T03:00Z", "title": "", "stop": ["people"], "start": ["boxes"]},
        ],
        "ends": "2030-01-01T04:00Z",
    }  # fmt: skip


def test_a_class_says_how_many_of_an_operators_subscribers_are_of_it() -> None:
    own = {"postpaid": POSTPAID, "prepaid": PREPAID, "white": STATE}
    groups = {"a": group("postpaid"), "b": group("prepaid"), "state": group("white")}
    assert shares_of(groups, own) == pytest.approx({"a": 0.25, "b": 0.75})


def test_subscribers_of_no_other_class_are_the_ordinary_ones() -> None:
    assert shares_of({"a": group("postpaid"), "b": group("ordinary")}, {"postpaid": POSTPAID}) == pytest.approx(
        {"a": 0.25, "b": 0.75}
    )


def test_two_groups_of_a_class_are_as_many_as_it_says_together() -> None:
    groups = {"a": group("postpaid"), "b": group("postpaid"), "c": group("ordinary")}
    assert shares_of(groups, {"postpaid": POSTPAID}) == pytest.approx({"a": 0.125, "b": 0.125, "c": 0.75})


def test_a_class_that_is_alone_in_a_region_is_everybody_there() -> None:
    assert shares_of({"a": group("postpaid")}, {"postpaid": POSTPAID}) == {"a": 1.0}


def test_a_group_says_otherwise_than_its_class() -> None:
    own = {"postpaid": POSTPAID, "prepaid": PREPAID}
    assert shares_of({"a": group("postpaid", 0.4), "b": group("ordinary")}, own) == pytest.approx({"a": 0.4, "b": 0.6})


@pytest.mark.parametrize(
    ("phase", "blocked"),
    [
        ("spared", {"people", "state"}),
        ("state", {"white", "state"}),  # white SIM cards are the government's
        ("people", {"people", "pro"}),  # businesses are ordinary
        ("boxes", {"pro"}),
    ],
)
def test_policies_and_rules_of_boxes_tell_own_classes_apart(phase: str, blocked: set[str]) -> None:
    found = [result for result in sl.verify(scenario()).results if result.phase == phase]
    assert {r.subscriber for r in found if r.outcome == "blocked"} == blocked
    assert {r.subscriber for r in found if r.outcome == "ok"} == {"people", "pro", "white", "state"} - blocked
    assert {r.subscriber: r.class_ for r in found} == {
        "people": "ordinary", "pro": "pro", "white": "white", "state": "government",
    }  # fmt: skip


def test_those_of_an_own_class_that_is_ordinary_count_in_tables() -> None:
    weights = {r.subscriber: r.weight for r in sl.verify(scenario()).results}
    assert weights == pytest.approx({"people": 1.8, "pro": 0.2, "white": 0, "state": 0})


def test_in_kashmir_contracts_are_classes() -> None:
    topology = load("kashmir-2019").topology
    assert {v.class_ for v in topology.vantages()} == {"postpaid", "prepaid", "landline", "hospital", "datacentre"}
    assert {v.class_ for v in topology.vantages() if not v.is_ordinary} == {"datacentre"}
