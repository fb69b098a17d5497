"""Single decisions of DPI boxes in a run: each is told once, and of many those that are unlike."""

from __future__ import annotations

from typing import Any

from shutdownlab.results.decision import BoxDecision, newer, varied
from shutdownlab.results.events import Counted, Decided
from shutdownlab.runner.boxes import Boxes


def decision(number: int, **more: Any) -> dict[str, Any]:
    told = {
        "src": "100.64.4.10", "sport": 40_000, "dst": "31.13.86.51", "dport": 443, "proto": 6, "opener": "inside",
        "action": "reset", "rule": "whatsapp-reset", "protocol": "tls", "app": "whatsapp", "host": "v.whatsapp.net",
    }  # fmt: skip
    return {"number": number} | told | more


def made(number: int, **more: Any) -> BoxDecision:
    return BoxDecision.model_validate(decision(number, **more))


def test_of_many_decisions_each_rule_name_and_opener_is_reported_before_any_is_reported_twice() -> None:
    many = [made(number) for number in range(1, 50)]
    rare = [made(50, rule="vpn", host=None, app="wireguard"), made(51, src="100.64.9.9")]

    assert [each.number for each in varied([*many, *rare], 3)] == [1, 50, 51]
    assert [each.number for each in varied([*many, *rare], 5)] == [1, 2, 3, 50, 51]


def test_of_a_box_that_began_anew_all_decisions_are_new() -> None:
    recent = [decision(1), decision(2)]

    assert [each.number for each in newer(recent, 1)] == [2]
    assert [each.number for each in newer(recent, 900)] == [1, 2]


def test_a_phase_tells_the_decisions_since_the_one_before_and_how_many_it_leaves_out() -> None:
    boxes = Boxes()
    first = list(boxes.events_of("messenger", "box", {"injected": 3, "recent": [decision(1), decision(2)]}))
    second = list(boxes.events_of("throttled", "box", {"injected": 3, "recent": [decision(n) for n in range(2, 40)]}))
    third = list(boxes.events_of("restored", "box", {"injected": 3, "recent": [decision(39)]}))

    assert [type(event) for event in first] == [Counted, Decided]
    assert first[0].counters == {"injected": 3}, "what it counts is without what it decided"
    assert isinstance(decided := second[1], Decided)
    assert (decided.decisions[0].number, len(decided.decisions), decided.others) == (3, 12, 25)
    assert [type(event) for event in third] == [Counted], "nothing new was decided"
