"""What a scenario says outsiders' signals should show, judged by the model and by readings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.signal import SignalExpectation
from shutdownlab.reporting import junit
from shutdownlab.reporting.report import TableReport
from shutdownlab.reporting.verified import as_json
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Finished, SignalsJudged
from shutdownlab.results.reading import Reading, write_readings
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.runner.signals import verdicts
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.facts import judge, needed

START = datetime(2022, 1, 5, 10, 0, tzinfo=UTC)
PHASES = ("calm", "precursor", "dark", "back")
CALENDAR = calendar_of(
    [(name, START + timedelta(hours=6 * place)) for place, name in enumerate(PHASES)], START + timedelta(days=2)
)


def readings(signal: str, *values: float, of: str = "") -> list[Reading]:
    return [
        Reading(signal, phase, "operator" if of else "country", of, "both", value, "share", "measured")
        for phase, value in zip(PHASES, values, strict=False)
    ]


SEEN = [
    *readings("bgp", 1, 1, 1, 1),
    *readings("active-probing", 1, 1, 0.02, 1),
    *readings("http3", 1, 0.1, 0.1, 1),
    *readings("bgp", 1, 1, 0.3, 1, of="kcell"),
]


CRITICAL = "critical from 05 Jan 22:00 (dark)"


def one(**said: Any) -> SignalVerdict:
    (found,) = judge([SignalExpectation.model_validate({"source": "EXAMPLE", **said})], SEEN, CALENDAR)
    return found


@pytest.mark.parametrize(
    ("said", "met", "found"),
    [
        ({"signal": "bgp", "alert": "none"}, True, "none"),
        ({"signal": "active-probing", "alert": "none"}, False, CRITICAL),
        ({"signal": "active-probing", "alert": "none", "during": ["calm", "back"]}, True, "none"),
        ({"signal": "active-probing", "alert": "critical", "during": ["dark"]}, True, CRITICAL),
        ({"signal": "active-probing", "alert": "critical", "during": ["calm", "dark"]}, False, "none in calm"),
        ({"signal": "bgp", "operator": "kcell", "alert": "warning"}, True, CRITICAL),
        ({"signal": "active-probing", "below": "5%", "during": ["dark"]}, True, "2%"),
        ({"signal": "active-probing", "below": "2%", "during": ["dark"]}, False, "2% in dark"),
        ({"signal": "active-probing", "above": "1%", "below": "5%", "during": ["dark", "calm"]}, False, "100% in calm"),
        ({"signal": "active-probing", "above": "1%"}, True, "2% to 100%"),
        ({"first": "http3", "before": "dark"}, True, "raised 05 Jan 16:30, 5 h 30 min before dark"),
        ({"first": "http3", "before": "precursor"}, False, "raised 05 Jan 16:30, not before precursor"),
        ({"first": "active-probing", "before": "back"}, False, "raised 05 Jan 22:00, after http3"),
        ({"first": "bgp", "before": "back"}, False, "it raises no alert"),
        ({"signal": "cdn", "below": "5%"}, None, "no reading of cdn"),
        ({"signal": "bgp", "operator": "tele2", "above": "5%"}, None, "no reading of bgp"),
    ],
)  # fmt: skip
def test_an_expectation_is_judged_by_the_readings(said: Mapping[str, Any], met: bool | None, found: str) -> None:
    result = one(**said)
    assert (result.met, result.found) == (met, found)


def test_phases_that_were_not_observed_are_left_out_and_not_taken_for_quiet() -> None:
    half = [reading for reading in SEEN if reading.phase in {"calm", "precursor"}]
    said = SignalExpectation.model_validate({"signal": "bgp", "below": "50%", "during": ["dark"], "source": "E"})
    (found,) = judge([said], half, CALENDAR)
    assert (found.met, found.found) == (None, "no reading in dark")


def test_a_run_that_ended_early_is_judged_by_the_phases_that_it_has() -> None:
    half = [reading for reading in SEEN if reading.phase in {"calm", "precursor", "dark"}]
    said = [
        SignalExpectation.model_validate(
            {"signal": "active-probing", "source": "E", "during": ["dark", "back"], **claim}
        )
        for claim in ({"below": "5%"}, {"above": "95%"}, {"alert": "critical"})
    ]
    assert [(each.met, each.found) for each in judge(said, half, CALENDAR)] == [
        (True, "2%"),
        (False, "2% in dark"),
        (True, CRITICAL),
    ]


def test_only_the_signals_that_are_asked_about_are_worked_out() -> None:
    bgp, first = (
        SignalExpectation.model_validate({"source": "E", **said})
        for said in ({"signal": "bgp", "alert": "none"}, {"first": "http3", "before": "dark"})
    )
    known = ("bgp", "active-probing", "http3")
    assert needed([bgp], known) == ("bgp",)
    assert needed([bgp, first], known) == known


def scenario(*signals: Mapping[str, Any]) -> dict[str, Any]:
    return {"extends": "first-shutdown", "name": "abroad", "signals": list(signals)}


GOOD = {"signal": "active-probing", "below": "5%", "during": ["blackout"], "source": "EXAMPLE"}
BAD = {"signal": "bgp", "alert": "critical", "during": ["blackout"], "source": "EXAMPLE"}
NONE = {"signal": "atlas-datacentre", "region": "coast", "above": "5%", "source": "EXAMPLE"}


def test_verify_holds_a_scenario_to_what_outsiders_saw() -> None:
    assert sl.verify(scenario(GOOD)).exit_code == 0
    found = sl.verify(scenario(GOOD, BAD, NONE))
    assert [each.met for each in found.signals] == [True, False, None]
    assert [each.basis for each in found.signals] == ["modelled", "modelled", ""]
    assert found.exit_code == 1 and not found.unmet
    assert sl.verify(scenario(GOOD, NONE), strict=True).exit_code == 1
    assert sl.verify(scenario(GOOD, BAD), at="blackout").signals == (), "alerts need the days before"


def test_verify_counts_only_what_was_chosen() -> None:
    given = BAD | {"given": {"command": "direct"}}
    assert sl.verify(scenario(given)).exit_code == 0
    assert sl.verify(scenario(given), choose={"command": "direct"}).exit_code == 1


def test_verify_says_of_each_what_was_seen_in_every_format() -> None:
    found = sl.verify(scenario(GOOD, BAD, NONE))
    said = json.loads(as_json(found))["signals"]
    text = "active-probing: below 5% in blackout"
    assert said[0] == {"expected": text, "source": "EXAMPLE", "met": True, "found": "0.2%", "basis": "modelled"}
    assert (said[1]["met"], said[1]["found"]) == (False, "none in blackout")
    xml = junit.of_verified(found)
    assert '<testsuite name="signals" tests="3" failures="1" errors="0" skipped="1">' in xml
    assert "bgp: an alert, critical in blackout" in xml


def test_verify_prints_what_is_not_as_expected_abroad(tmp_path: Any) -> None:
    file = tmp_path / "abroad.yaml"
    file.write_text(json.dumps(scenario(GOOD, BAD)))
    done = CliRunner().invoke(app, ["verify", str(file)])
    assert done.exit_code == 1
    assert "not as expected abroad: bgp: an alert, critical in blackout [EXAMPLE]: none in blackout" in done.output
    assert "1 of 2 about signals abroad are not met." in done.output


def finished_run(directory: Any, seen: list[Reading]) -> sl.Run:
    """A run of one phase whose signals were judged, as `run` does it, written down and read again."""
    loaded = sl.load(scenario(GOOD, BAD))
    with RunDirectory(directory) as record:
        record(Begun(version="0", run="a", scenario="abroad", title="", topology="", operators={}))
        if seen:
            write_readings(directory, seen)
        found = verdicts(loaded.scenario, loaded.scenario.default_choices(), directory)
        record(SignalsJudged(signals=found))
        record(Finished(status="finished", exit_code=0, seconds=1, cells=0, expectations=0, unmet=0, errors=0))
    return sl.Run.open(directory)


def printed(run: sl.Run) -> str:
    console = Console(width=200, record=True, file=StringIO())
    TableReport().write(run, console)
    return console.export_text()


def test_a_run_that_has_observed_is_held_to_what_outsiders_saw(tmp_path: Path) -> None:
    loaded = sl.load(scenario(GOOD))
    seen = [
        Reading(signal, phase.phase, "country", "", "ipv4", value, "share", "measured")
        for signal in ("active-probing", "bgp")
        for phase in loaded.scenario.timeline
        for value in [0.0 if phase.phase == "blackout" and signal != "bgp" else 1.0]
    ]
    run = finished_run(tmp_path / "run", seen)
    assert [(each.met, each.basis) for each in run.signals] == [(True, "measured"), (False, "measured")]
    assert run.readings == seen
    assert "not as expected abroad: bgp: an alert, critical in blackout [EXAMPLE]: none in blackout" in printed(run)
    assert [event.signals for event in run.events() if isinstance(event, SignalsJudged)] == [tuple(run.signals)]


def test_a_run_that_has_not_observed_says_what_it_leaves_out(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", [])
    assert [each.met for each in run.signals] == [None, None] and run.readings == []
    assert "left out: 2 about signals abroad: none of these signals was observed" in printed(run)
    assert "`run --observe` does" in printed(run)


def test_a_phase_shorter_than_a_round_of_the_signal_is_judged_by_what_was_read_in_it() -> None:
    times = [("calm", START), ("one", START + timedelta(minutes=1)), ("two", START + timedelta(minutes=2))]
    calendar = calendar_of(times, START + timedelta(hours=1))
    seen = [
        Reading("bgp", phase, "country", "", "ipv4", value, "share", "modelled")
        for phase, value in (("calm", 1.0), ("one", 0.6), ("two", 0.1))
    ]
    said = SignalExpectation.model_validate(
        {"signal": "bgp", "above": "50%", "below": "70%", "during": ["one"], "source": "E"}
    )
    assert [each.found for each in judge([said], seen, calendar)] == ["60%"]
