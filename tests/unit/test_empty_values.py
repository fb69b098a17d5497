"""Values that say nothing, or that are of another type, where a reader would have taken them for something."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.config.problems import BadInput

ORDER = {"title": "", "source": "made up"}


def told(**changed: Any) -> str:
    made = {
        "format": 1,
        "name": "empty",
        "title": "What is empty",
        "topology": "two-operators",
        "policies": {"off": ORDER | {"block": "everything"}},
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "timeline": [{"phase": "off", "at": "2030-01-01T00:00Z", "title": "", "start": ["off"]}],
        "ends": "2030-01-02T00:00Z",
    }
    with pytest.raises(BadInput) as raised:
        sl.load(made | changed)
    return str(raised.value)


@pytest.mark.parametrize("verb", ["withdraw", "null_route"])
def test_an_empty_list_of_prefixes_is_not_all_of_them(verb: str) -> None:
    text = told(policies={"off": ORDER | {verb: {"prefixes": []}}})

    assert f"policies.off.{verb}.prefixes: found an empty list; expected `all`, or at least one prefix" in text


@pytest.mark.parametrize(("key", "kind"), [("operator", "operator"), ("region", "region")])
def test_a_signal_of_an_operator_or_region_without_a_name_is_not_the_countrys(key: str, kind: str) -> None:
    text = told(signals=[{"signal": "bgp", "alert": "none", "source": "made up", key: ""}])

    assert f"signals[0].{key}: found unknown {kind} ''" in text


def test_a_percentage_has_its_sign() -> None:
    text = told(signals=[{"signal": "bgp", "below": 2.5, "source": "made up"}])

    assert "signals[0].below: found 2.5; expected a percentage such as 20%" in text


def test_a_partition_is_of_some_controller() -> None:
    text = told(faults={"apart": ORDER | {"partition": {"controllers": []}}})

    assert "faults.apart.partition.controllers: found an empty list" in text


@pytest.mark.parametrize("given", [["foo"], {"foo": 1}, None, True])
def test_a_short_name_is_text(given: object) -> None:
    text = told(probes={"ping": {"test": "ping", "host": "8.8.8.8", "short": given}})

    assert "probes.ping.short: found" in text
    assert "expected a name of at most 5 characters" in text


@pytest.mark.parametrize("source", ["", "  "])
def test_a_source_says_something(source: str) -> None:
    text = told(policies={"off": {"title": "", "source": source, "block": "everything"}})

    assert "policies.off.source: found an empty text; expected who reported it" in text


def test_an_unknown_operator_is_told_once() -> None:
    text = told(policies={"off": ORDER | {"withdraw": {"prefixes": ["100.64.0.0/16"]}, "where": {"operators": ["x"]}}})

    assert len(text.splitlines()) == 1
    assert "unknown operator 'x'" in text


def test_an_unknown_region_is_told_once_where_mobile_sites_are_switched_off() -> None:
    text = told(policies={"off": ORDER | {"switch_off": {"regions": ["x"]}}})

    assert len(text.splitlines()) == 1
    assert "unknown region 'x'" in text
