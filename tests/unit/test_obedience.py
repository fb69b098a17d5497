"""Operators that do not do as they are ordered: whose subscribers notice what, and how it is said."""

from __future__ import annotations

from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.config.problems import BadInput
from shutdownlab.library import load
from shutdownlab.model.policy import Policy
from shutdownlab.protocol.messages import Command, Order, decode, encode
from shutdownlab.verifier.explained import explanation_lines


def scenario(**how: Any) -> dict[str, Any]:
    """A blackout and a withdrawal that end after the second phase; `how` southcell obeys, by phase."""
    return {
        "format": 1,
        "name": "obeyed",
        "title": "Obeyed",
        "topology": "two-operators",
        "policies": {
            "blackout": {"title": "Dark", "block": "everything", "source": "made up"},
            "gone": {"title": "Gone", "withdraw": {}, "source": "made up"},
        },
        "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "observations": {"routes": {"observer": "bgp"}},
        "timeline": [
            {"phase": "one", "at": "2030-05-01T00:00Z", "title": "", "start": ["blackout"]},
            {"phase": "two", "at": "2030-05-01T01:00Z", "title": "", "start": ["gone"]},
            {"phase": "three", "at": "2030-05-01T02:00Z", "title": "", "stop": ["blackout", "gone"]},
        ],
        "ends": "2030-05-02T00:00Z",
    } | _with(how)


def _with(how: dict[str, Any]) -> dict[str, Any]:
    starts = {"one": {"start": ["blackout"]}, "two": {"start": ["gone"]}, "three": {"stop": ["blackout", "gone"]}}
    return {
        "timeline": [
            {"phase": name, "at": f"2030-05-01T0{hour}:00Z", "title": "", **what}
            | ({"obey": {"southcell": how[name]}} if name in how else {})
            for hour, (name, what) in enumerate(starts.items())
        ]
    }


def reached(made: dict[str, Any], phase: str, target: str = "ping") -> set[str]:
    """Where a probe gets through: operators with regions; of observations, operators."""
    return {
        f"{r.operator}/{r.region}".rstrip("/")
        for r in sl.verify(made, at=phase)
        if r.target == target and r.outcome == "ok"
    }


def test_an_operator_that_ignores_a_blackout_keeps_its_subscribers_online_and_obeys_in_the_next_phase() -> None:
    made = scenario(one={"ignores": ["blackout"]})
    assert reached(made, "one") == {"southcell/capital", "southcell/coast"}
    assert reached(made, "two") == set()


def test_an_operator_that_obeys_in_part_spares_whom_the_scenario_names() -> None:
    made = scenario(one={"spares": {"blackout": {"regions": ["coast"]}}})
    assert reached(made, "one") == {"southcell/coast"}


def test_an_operator_that_spares_others_in_each_phase_is_followed_in_each() -> None:
    made = scenario(
        one={"spares": {"blackout": {"regions": ["coast"]}}},
        two={"spares": {"blackout": {"regions": ["capital"]}}, "ignores": ["gone"]},
    )
    assert reached(made, "one") == {"southcell/coast"}
    assert reached(made, "two") == {"southcell/capital"}


def test_an_operator_that_returns_late_is_dark_while_the_others_are_online() -> None:
    made = scenario(three={"keeps": ["blackout", "gone"]})
    assert reached(made, "three") >= {"northnet/capital", "northnet/coast"}
    assert not {where for where in reached(made, "three") if where.startswith("southcell")}
    assert reached(made, "three", "routes") == {"northnet"}


def test_an_operator_that_ignores_a_withdrawal_stays_in_the_worlds_routing_tables() -> None:
    made = scenario(two={"ignores": ["gone"]})
    assert reached(made, "two", "routes") == {"southcell"}


def test_where_the_authority_commands_the_switches_itself_nobody_departs() -> None:
    option = {"says": "", "source": "made up"}
    how = {"question": "", "default": "asked", "options": {"asked": option, "forced": option | {"command": "direct"}}}
    made = scenario(one={"ignores": ["blackout"]}) | {"accounts": {"how": how}}
    got = {
        r.operator
        for r in sl.verify(made, at="one", choose={"how": "forced"})
        if r.target == "ping" and r.outcome == "ok"
    }
    assert got == set()


def test_an_explanation_says_how_the_operator_departs_and_where_that_is_written() -> None:
    made = scenario(one={"spares": {"blackout": {"regions": ["coast"]}}})
    text = list(explanation_lines(sl.explain(made, at="one", vantage="southcell/coast", target="ping")))
    assert any(line.startswith("  Not as ordered: southcell carries blackout out in part") for line in text)
    other = list(explanation_lines(sl.explain(made, at="one", vantage="northnet/coast", target="ping")))
    assert not any("Not as ordered" in line for line in other)


@pytest.mark.parametrize("kept", [["blackout"], ["gone"], ["blackout", "gone"]])
def test_an_explanation_of_what_an_operator_keeps_after_its_end_says_what_would_let_it_through(kept: list[str]) -> None:
    made = scenario(three={"keeps": kept})
    why = sl.explain(made, at="three", vantage="southcell/coast", target="ping")
    assert why.mends
    assert all(set(mend.policies) == set(kept) for mend in why.mends)
    assert not any("stop it" in mend.change for mend in why.mends), "it has been stopped: southcell carries it on"
    if "gone" in kept:  # an exception for a smaller part of the traffic would not be enough
        assert "its end obeyed by southcell" in {mend.change for mend in why.mends}
    other = sl.explain(made, at="three", vantage="northnet/coast", target="ping")
    assert other.verdict.outcome == "ok"


def test_an_order_reaches_each_operator_with_what_it_makes_of_it() -> None:
    policies: dict[str, Policy] = dict(load(scenario()).scenario.policies)
    kept = {"gone": policies["gone"]}
    command = Command(Order(1, "one", {"blackout": policies["blackout"]}), otherwise={"southcell": kept})
    assert decode(encode(command)) == command
    assert command.for_operator("northnet").departures == ""
    late = command.for_operator("southcell")
    assert late.obeyed == kept
    assert late.departures == "ignores blackout; keeps gone"


@pytest.mark.parametrize(("phase", "seconds"), [("one", 1800.0), ("two", 600.0)])
def test_an_operator_that_lags_takes_its_time_in_that_phase_alone(phase: str, seconds: float) -> None:
    loaded = load(scenario(one={"after": "30min"}))
    assert loaded.scenario.delay_of("southcell", loaded.topology, loaded.scenario.phase(phase)) == seconds


@pytest.mark.parametrize(("after", "is_refused"), [("60min", False), ("61min", True)])
def test_who_is_to_obey_only_after_the_phase_is_refused_as_the_phase_was_measured_as_if_it_had_obeyed(
    after: str, is_refused: bool
) -> None:
    made = scenario(one={"after": after})
    if not is_refused:
        load(made)
        return
    with pytest.raises(BadInput, match="longer than the phase; expected at most 1h") as refused:
        load(made)
    assert [problem.where for problem in refused.value.problems] == ["timeline[0].obey.southcell.after"]


def test_when_an_operator_obeys_is_said_by_its_turn_or_by_after_not_by_both() -> None:
    made = scenario(one={"after": "5min"})
    made["timeline"][0]["stagger"] = {"order": ["northnet", "southcell"]}
    with pytest.raises(BadInput, match="`after` beside `stagger`"):
        load(made)


def test_a_usual_delay_longer_than_a_phase_is_told_as_without_effect_there() -> None:
    found = load(scenario() | {"delays": {"southcell": "90min", "northnet": "60min"}})
    assert [(idle.where, idle.reason) for idle in found.idle] == [
        (
            "delays.southcell",
            "southcell obeys 90min after an order, later than one ends, which is measured as if it had obeyed; "
            "`obey: {southcell: {ignores: …}}` there says that it has not",
        )
    ]
    every = {"after": "5min"}
    assert not load(scenario(one=every, two=every, three=every) | {"delays": {"southcell": "90min"}}).idle
