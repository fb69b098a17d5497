"""What a scenario wants broken: what is down for it, what stays blocked, and who hears which orders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.measure.belief import Try, judge
from shutdownlab.measure.controls import Control, excused_by
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Check, Proof
from shutdownlab.verifier.explained import explanation_lines

BREAKDOWNS = Path(__file__).parents[2] / "examples" / "breakdowns.yaml"


def scenario(faults: dict[str, Any], *phases: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Two operators, WhatsApp blocked by DPI boxes and a blackout to be started; a phase an hour."""
    titled = {name: {"title": name, "source": "made up", **fault} for name, fault in faults.items()}
    timeline = [
        {"phase": f"p{number}", "at": f"2030-05-01T{number:02}:00Z", "title": "", **phase}
        for number, phase in enumerate(phases, 1)
    ]
    return {
        "format": 1,
        "name": "broken",
        "title": "Broken",
        "topology": "two-operators",
        "faults": titled,
        "policies": {
            "messengers": {"title": "", "block": {"apps": ["whatsapp"]}, "source": "made up"},
            "blackout": {"title": "", "block": "everything", "source": "made up"},
        },
        "probes": {
            "whatsapp": {"test": "app", "app": "whatsapp"},
            "www.bbc.com": {"test": "web", "url": "https://www.bbc.com/"},
        },
        "timeline": timeline,
        "ends": "2030-05-02T00:00Z",
        **more,
    }


def outcomes(made: dict[str, Any], phase: str, target: str, operator: str) -> set[tuple[str, str | None]]:
    """What a probe comes out as, from everywhere in an operator."""
    return {
        (result.outcome.value, result.failure)
        for result in sl.verify(made, at=phase)
        if (result.target, result.operator) == (target, operator)
    }


def test_every_breakdown_of_the_example_takes_away_what_it_says() -> None:
    verified = sl.verify(BREAKDOWNS)
    assert not verified.unmet
    assert not verified.undecided
    assert {result.outcome for result in verified} == {Outcome.OK, Outcome.BLOCKED, Outcome.DOWN}


def test_what_is_down_counts_as_not_reached_and_bears_the_faults_name() -> None:
    made = scenario({"fibre": {"cut": ["northnet to northnet/coast"]}}, {"faults": ["fibre"]})
    verified = sl.verify(made)
    down = [result for result in verified if result.outcome is Outcome.DOWN]
    assert {(result.operator, result.region, result.failure) for result in down} == {
        ("northnet", "coast", "fault: fibre")
    }
    assert str(verified.table).count("87") == 2  # Northnet's coast: 0.4 of one million of three


def test_a_block_stays_a_block_where_the_fault_is_elsewhere() -> None:
    made = scenario(
        {"servers": {"kill": {"servers": ["transit-two"]}}}, {"faults": ["servers"], "start": ["messengers"]}
    )
    assert outcomes(made, "p1", "whatsapp", "northnet") == {("blocked", "generic_timeout_error")}
    assert outcomes(made, "p1", "www.bbc.com", "northnet") == {("down", "fault: servers")}


def test_a_controller_that_dies_while_an_order_is_given_obeys_it_in_the_next_phase() -> None:
    made = scenario(
        {"controller": {"kill": {"controllers": ["northnet"]}}},
        {"start": ["blackout"], "faults": ["controller"]},
        {},
    )
    assert outcomes(made, "p1", "www.bbc.com", "northnet") == {("ok", None)}
    assert {outcome for outcome, _ in outcomes(made, "p1", "www.bbc.com", "southcell")} == {"blocked"}
    assert {outcome for outcome, _ in outcomes(made, "p2", "www.bbc.com", "northnet")} == {"blocked"}


@pytest.mark.parametrize("verb", ["stop", "partition", "kill"])
def test_a_controller_that_comes_back_obeys_the_latest_order_though_the_authority_hangs_then(verb: str) -> None:
    made = scenario(
        {"controller": {verb: {"controllers": ["northnet"]}}, "authority": {"stop": {"controllers": ["authority"]}}},
        {"start": ["blackout"], "faults": ["controller"]},
        {"stop": ["blackout"], "faults": ["authority"]},
    )
    assert {outcome for outcome, _ in outcomes(made, "p1", "www.bbc.com", "northnet")} == {"ok"}
    assert {outcome for outcome, _ in outcomes(made, "p2", "www.bbc.com", "northnet")} == {"blocked"}


def test_where_the_authority_commands_switches_itself_an_operators_controller_is_not_missed() -> None:
    faults = {name: {"kill": {"controllers": [name]}} for name in ("northnet", "authority")}
    made = scenario(
        faults, {"faults": ["northnet"], "start": ["blackout"]}, {"faults": ["authority"], "stop": ["blackout"]},
        command="direct",
    )  # fmt: skip
    assert {outcome for outcome, _ in outcomes(made, "p1", "www.bbc.com", "northnet")} == {"blocked"}
    assert {outcome for outcome, _ in outcomes(made, "p2", "www.bbc.com", "northnet")} == {"blocked"}


def test_a_dead_box_fails_as_its_profile_says(tmp_path: Path) -> None:
    own = tmp_path / "closed.yaml"
    own.write_text("{format: 1, name: closed, title: Fails closed, table: {overload: closed}, sources: [made up]}")
    fault = {"box": {"kill": {"boxes": ["northnet"]}}}
    opened = scenario(fault, {"start": ["messengers"], "faults": ["box"]}, profile="perfect")
    assert outcomes(opened, "p1", "whatsapp", "northnet") == {("ok", None)}
    closed = scenario(fault, {"start": ["messengers"], "faults": ["box"]}, profile=str(own))
    assert outcomes(closed, "p1", "whatsapp", "northnet") == {("down", "fault: box")}
    on_path = scenario(fault, {"start": ["messengers"], "faults": ["box"]}, profile="gfw-tls")
    assert outcomes(on_path, "p1", "whatsapp", "northnet") == {("ok", None)}


def test_a_stopped_box_takes_away_only_what_is_steered_through_it() -> None:
    """A blackout is the switches' own work: who has no other policy in force steers nothing through its box."""
    made = scenario(
        {"box": {"stop": {"boxes": ["northnet"]}}},
        {"start": ["blackout"], "faults": ["box"]}, {"start": ["messengers"], "stop": ["blackout"], "faults": ["box"]},
    )  # fmt: skip
    assert {outcome for outcome, _ in outcomes(made, "p1", "www.bbc.com", "northnet")} == {"blocked"}
    assert outcomes(made, "p2", "www.bbc.com", "northnet") == {("down", "fault: box")}
    assert outcomes(made, "p2", "www.bbc.com", "southcell") == {("ok", None)}


def test_an_explanation_names_the_fault_its_line_and_what_it_takes_away() -> None:
    text = list(explanation_lines(sl.explain(BREAKDOWNS, at="cable", vantage="northnet/coast", target="www.bbc.com")))
    assert text[0] == "www.bbc.com from northnet/coast/ordinary in cable, ipv4: down (fault: cable)"
    line = 1 + next(i for i, line in enumerate(BREAKDOWNS.read_text().splitlines()) if line == "  cable:")
    assert text[2].endswith(f"breakdowns.yaml:{line}")
    assert text[3] == "    takes away its way and its lookup"


def test_newly_down_is_not_newly_blocked() -> None:
    whole = scenario({"cable": {"cut": ["northnet to gateway"]}}, {})
    broken = scenario({"cable": {"cut": ["northnet to gateway"]}}, {"faults": ["cable"]})
    compared = sl.diff(whole, broken)
    assert {change.kind for change in compared.changes} == {"down"}
    assert {change.kind for change in sl.diff(broken, whole).changes} == {"allowed"}


FIRST = Try(Outcome.BLOCKED, 0.0, 1.0, needs=("way",))
SECOND = Try(Outcome.BLOCKED, 3.0, 4.0, needs=("way",))


def proof(failure: str | None) -> dict[str, list[Proof]]:
    return {"way": [Proof("way", 1.5, 2.5, failure, 0.0)]}


def test_two_tries_with_a_failed_control_between_them_are_down_where_a_fault_excuses_it_and_unknown_else() -> None:
    excused = judge([FIRST, SECOND], proof("generic_timeout_error"), excused={"way"})
    assert (excused.believed, excused.taken) == (True, True)
    refuted = judge([FIRST, SECOND], proof("generic_timeout_error"))
    assert (refuted.believed, refuted.taken, refuted.refuted) == (False, False, 1)


def test_a_failed_control_of_something_that_nothing_took_away_proves_nothing() -> None:
    found = judge([FIRST, SECOND], proof("generic_timeout_error"), excused={"server"})
    assert (found.believed, found.taken, found.refuted) == (False, False, 1)


def test_controls_are_excused_by_what_they_are_controls_of() -> None:
    check = Check("any", "192.0.2.1")
    way, server = Control("path a to b", "a", "way", check), Control("server of x", "b", "server", check)
    assert excused_by((way, server), {"way": "cable", "lookup": "resolver"}) == {"path a to b": "cable"}
    assert excused_by((way, server), {}) == {}


def test_two_tries_with_a_good_control_between_them_are_blocked_whatever_is_broken_elsewhere() -> None:
    found = judge([FIRST, SECOND], proof(None), excused={"way"})
    assert (found.believed, found.taken) == (True, False)


def test_a_block_by_withdrawn_routes_is_explained_by_the_policy_that_withdrew_them() -> None:
    gone = {"title": "Northnet is gone", "withdraw": {}, "where": {"operators": ["northnet"]}, "source": "made up"}
    made = scenario({}, {"start": ["gone"]}, policies={"gone": gone})
    assert {outcome for outcome, _ in outcomes(made, "p1", "www.bbc.com", "northnet")} == {"blocked"}
    assert outcomes(made, "p1", "www.bbc.com", "southcell") == {("ok", None)}
    text = list(explanation_lines(sl.explain(made, at="p1", vantage="northnet/coast", target="www.bbc.com")))
    assert text[1].startswith("Policy gone: Northnet is gone [made up]")


def test_a_policy_that_ends_while_something_is_broken_is_not_called_idle() -> None:
    fault = {"servers": {"kill": {"servers": ["transit-two"]}}}
    made = scenario(fault, {"start": ["messengers"]}, {"stop": ["messengers"], "faults": ["servers"]})
    assert [str(each) for each in sl.verify(made).warnings] == []


def test_an_account_can_say_that_something_did_not_break() -> None:
    option = {"says": "", "source": "made up"}
    accounts = {
        "cable": {
            "question": "",
            "default": "cut",
            "options": {"cut": option, "whole": option | {"without": ["cable"]}},
        }
    }
    made = scenario({"cable": {"cut": ["northnet to gateway"]}}, {"faults": ["cable"]}, accounts=accounts)
    assert {result.outcome for result in sl.verify(made)} == {Outcome.DOWN}
    assert {result.outcome for result in sl.verify(made, choose={"cable": "whole"})} == {Outcome.OK}


def test_routes_that_an_operator_was_not_told_to_announce_again_stay_withdrawn() -> None:
    """Found by `make differential`: the order that gives them back does not reach a controller that is dead."""
    gone = {"title": "Northnet is gone", "withdraw": {}, "where": {"operators": ["northnet"]}, "source": "made up"}
    dead = {"title": "", "kill": {"controllers": ["northnet"]}, "source": "made up"}
    made = {
        "format": 1, "name": "deaf", "title": "", "topology": "two-operators", "policies": {"gone": gone},
        "faults": {"dead": dead}, "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "timeline": [
            {"phase": "gone", "at": "2030-05-01T00:00Z", "title": "", "start": ["gone"]},
            {"phase": "deaf", "at": "2030-05-01T01:00Z", "title": "", "stop": ["gone"], "faults": ["dead"]},
            {"phase": "back", "at": "2030-05-01T02:00Z", "title": ""},
        ],
        "ends": "2030-05-01T03:00Z",
    }  # fmt: skip
    verified = sl.verify(made)
    outcomes = {
        phase: {r.outcome for r in verified.results if r.phase == phase and r.operator == "northnet"}
        for phase in ("gone", "deaf", "back")
    }
    assert outcomes == {"gone": {Outcome.BLOCKED}, "deaf": {Outcome.BLOCKED}, "back": {Outcome.OK}}
    told = sl.explain(made, at="deaf", vantage="northnet/capital", target="ping")
    assert [order.policy for order in told.elsewhere] == ["gone"]
