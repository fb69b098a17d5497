"""What is told of a country beside orders: what boxes decide, routes that come and go; each once, and not too much."""

from __future__ import annotations

import json
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import Shutdown
from shutdownlab.web.happenings import RECENT, Happenings
from shutdownlab.web.source import MOST_LINES, Source


@pytest.fixture
def base() -> Shutdown:
    found = sl.load("first-shutdown")
    assert isinstance(found, Shutdown)
    return found


def decision(number: int, **more: Any) -> dict[str, Any]:
    told = {
        "src": "100.64.4.10", "sport": 40_000, "dst": "31.13.86.51", "dport": 443, "proto": 6, "opener": "inside",
        "action": "reset", "rule": "whatsapp-reset", "protocol": "tls", "app": "whatsapp", "host": "v.whatsapp.net",
    }  # fmt: skip
    return {"number": number} | told | more


def boxes(*decisions: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"northnet-box": {"recent": list(decisions)}}


def test_a_decision_says_name_protocol_rule_and_verdict_and_opens_the_cell_that_met_it(base: Shutdown) -> None:
    (line,) = Happenings(base).decisions(boxes(decision(1)), "messenger")

    assert line["text"] == (
        "northnet-box: reset by whatsapp-reset: tls v.whatsapp.net, TCP, 100.64.4.10 → 31.13.86.51:443"
    )
    assert line["cell"] == ["messenger", "northnet/coast/ordinary", "whatsapp", "ipv4"]


def test_what_no_probe_measures_opens_on_its_host_or_address(base: Shutdown) -> None:
    happenings = Happenings(base)
    shown = decision(1, app=None, host="elsewhere.example"), decision(2, app=None, host=None, dst="192.0.2.1")
    found = [line["cell"][2] for line in happenings.decisions(boxes(*shown), "messenger")]

    assert found == ["elsewhere.example", "192.0.2.1:443"]


def test_a_connection_from_abroad_is_reported_by_whom_it_is_to(base: Shutdown) -> None:
    (line,) = Happenings(base).decisions(boxes(decision(1, src="192.0.2.1", dst="100.64.4.10", app=None)), "messenger")

    assert line["cell"][1] == "northnet/coast/ordinary"


def test_each_decision_is_reported_once_and_of_a_box_that_was_started_anew_all(base: Shutdown) -> None:
    happenings = Happenings(base)
    first = list(happenings.decisions(boxes(decision(1), decision(2)), "messenger"))
    second = list(happenings.decisions(boxes(decision(1), decision(2), decision(5)), "messenger"))
    third = list(happenings.decisions(boxes(decision(1), decision(2), decision(5)), "messenger"))
    anew = list(happenings.decisions(boxes(decision(1)), "messenger"))

    assert [len(lines) for lines in (first, second, third, anew)] == [2, 1, 0, 1]


def test_of_a_busy_box_the_latest_are_listed_and_the_others_counted(base: Shutdown) -> None:
    lines = list(Happenings(base).decisions(boxes(*map(decision, range(1, RECENT + 1))), "messenger"))

    assert len(lines) == 13
    assert lines[-1]["text"] == "northnet-box: 48 or more other decisions"


def test_routes_are_reported_as_they_go_and_come_and_not_at_the_first_look(base: Shutdown) -> None:
    happenings = Happenings(base)
    there = frozenset({"100.64.0.0/16", "100.65.0.0/16", "2001:db8:64::/48"})
    looks = [{"transit-one": there}, {"transit-one": there - {"100.64.0.0/16"}}, {"transit-one": there}]
    told = [[line["text"] for line in happenings.routes(tables, "blackout")] for tables in looks]

    assert told == [
        [],
        ["transit-one has lost 100.64.0.0/16 of northnet"],
        ["transit-one has heard of 100.64.0.0/16 of northnet"],
    ]


class Teller(Source):
    """A source with nothing to draw."""

    def view(self) -> dict[str, Any]:
        return {}

    def cell(self, phase: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        return {}


def test_ten_hours_of_lines_leave_no_more_than_the_newest_and_a_viewer_is_sent_each_once() -> None:
    source = Teller(1.0)
    for number in range(36_000):
        source.tell("decision", f"line {number}")
    version, told = source.board.since(0)
    lines = {name: line["text"] for name, line in json.loads(told)["set"].items() if name.startswith("log/")}
    source.tell("order", "one more")

    assert len(lines) == MOST_LINES
    assert f"line {36_000 - MOST_LINES}" in lines.values()
    assert [line["text"] for line in json.loads(source.board.since(version)[1])["set"].values()] == ["one more"]
