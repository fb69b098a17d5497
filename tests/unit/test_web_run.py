"""A run on the live page: what is known so far and no more, and in the end what its report says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import Shutdown
from shutdownlab.results.decision import BoxDecision
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import (
    Begun,
    Decided,
    Event,
    Finished,
    Measured,
    Observed,
    Ordered,
    PhaseBegun,
    PhaseMeasured,
    Rerouted,
    Voided,
)
from shutdownlab.results.manifest import Undertaking
from shutdownlab.results.reading import Reading
from shutdownlab.results.run import Run
from shutdownlab.web.run_source import FinishedRun, RunSource, followed


@pytest.fixture(scope="module")
def shutdown() -> Shutdown:
    return sl.load("first-shutdown")


@pytest.fixture(scope="module")
def run(shutdown: Shutdown, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run") / "run"
    sl.verify(shutdown).write(folder)
    return Run.open(folder)


def begun(run: Run) -> Event:
    return Begun(version="1", **Undertaking.model_validate(run.manifest).model_dump())


def measured(run: Run, phase: str, share: float = 1.0) -> Iterator[Event]:
    """What a run tells of a phase, of which this share of cells has come out."""
    cells = [result for result in run.results if result.phase == phase]
    at = cells[0].time
    yield Ordered(phase=phase, scenario_time=at, mode="operators", policies=())
    yield PhaseBegun(phase=phase, time=at, title=phase, cells=len(cells))
    for number, result in list(enumerate(cells))[::-1][: round(share * len(cells))]:
        yield Measured(number=number, result=result)
    if share == 1.0:
        reached = sum(cell.outcome.got_through for cell in cells)
        unmet = sum(not cell.met for cell in cells)
        yield PhaseMeasured(phase=phase, cells=len(cells), reached=reached, unmet=unmet, seconds=1.0)


def finished(run: Run) -> Event:
    return Finished(
        status="finished", exit_code=0, seconds=1.0, cells=len(run.results), expectations=0, unmet=0, errors=0
    )


def cells_shown(view: dict[str, Any]) -> dict[str, int]:
    """How many cells there are on the page, by phase."""
    phases = [phase[0] for phase in view["view/data/phases"]]
    found = [sum(len(flat) // 5 for flat in view[f"view/data/cells/{place}"].values()) for place in range(len(phases))]
    return dict(zip(phases, found, strict=True))


def test_cells_are_there_as_they_come_and_the_headline_tells_of_whole_phases_alone(
    run: Run, shutdown: Shutdown
) -> None:
    source = RunSource("x", shutdown)
    for event in (begun(run), *measured(run, "baseline"), *measured(run, "messenger", 0.5)):
        source(event)
    view = source.view()

    assert cells_shown(view) == {"baseline": 66, "messenger": 32}
    assert "Everything that was measured got through" in view["view/top"]


def test_rows_and_columns_stand_as_in_the_scenario_whatever_came_out_first(run: Run, shutdown: Shutdown) -> None:
    source = RunSource("x", shutdown)
    for event in (begun(run), *measured(run, "baseline", 0.9)):
        source(event)
    view = source.view()

    targets = list(dict.fromkeys(column[0] for column in view["view/data/columns"]))
    assert targets == [name for name in shutdown.scenario.probes if name in targets]


def test_what_is_measured_again_was_never_there(run: Run, shutdown: Shutdown) -> None:
    source = RunSource("x", shutdown)
    for event in (begun(run), *measured(run, "baseline", 0.5)):
        source(event)
    source(Voided(phase="baseline", reasons=("a switch died",)))

    assert cells_shown(source.view()) == {}
    shown = json.loads(source.board.since(0)[1])["set"]
    assert any("a switch died" in line["text"] for name, line in shown.items() if name.startswith("log/"))


def test_when_it_is_over_the_page_says_what_the_report_says(run: Run, shutdown: Shutdown) -> None:
    source = RunSource("x", shutdown)
    phases = dict.fromkeys(result.phase for result in run.results)
    source(begun(run))
    for phase in phases:
        for event in measured(run, phase):
            source(event)
        source(Observed(phase=phase, readings=tuple(each for each in run.readings if each.phase == phase)))
    source(finished(run))
    live, report = source.view(), FinishedRun(run).view()

    for part in ("timeline", "phases", "map", "orders"):
        assert live[f"view/{part}"] == report[f"view/{part}"], part
    assert live["view/data/columns"] == report["view/data/columns"]
    key = ("messenger", "northnet/coast/ordinary", "whatsapp", "ipv4")
    assert source.cell(*key)["why"]["policies"] == ["whatsapp-reset"]


def test_a_run_of_another_process_is_followed_as_it_is_written(run: Run, shutdown: Shutdown, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with RunDirectory(folder) as record:
        record(begun(run))
        for event in measured(run, "baseline"):
            record(event)
        source = followed(Run.open(folder))
        source.start()
        waited_for(source, "baseline")
        for event in measured(run, "messenger"):
            record(event)
        waited_for(source, "messenger")
        record(finished(run))
    until(lambda: told(source)["state"]["status"] == "finished")
    source.end()


RESET = BoxDecision(
    number=1, src="100.64.4.10", sport=40_000, dst="31.13.86.51", dport=443, proto=6, opener="inside", action="reset",
    rule="whatsapp-reset", protocol="tls", app="whatsapp", host="v.whatsapp.net",
)  # fmt: skip
STRANGE = RESET.model_copy(update={"number": 2, "app": None, "host": "elsewhere.example", "dst": "192.0.2.7"})
DECIDED = Decided(phase="messenger", where="northnet-box", decisions=(RESET, STRANGE), others=3)
REROUTED = Rerouted(phase="messenger", where="transit-one", lost=("100.64.0.0/16",))


def test_a_run_lists_single_decisions_and_routes_each_with_the_cell_that_explains_it(
    run: Run, shutdown: Shutdown
) -> None:
    source = RunSource("x", shutdown)
    for event in (begun(run), *measured(run, "messenger"), DECIDED, REROUTED):
        source(event)
    lines = [line for name, line in told(source).items() if name.startswith("log/")]
    shown = {line["text"]: line.get("cell") for line in lines if line["kind"] in {"decision", "bgp"}}

    assert list(shown) == [
        "northnet-box: reset by whatsapp-reset: tls v.whatsapp.net, TCP, 100.64.4.10 → 31.13.86.51:443",
        "northnet-box: reset by whatsapp-reset: tls elsewhere.example, TCP, 100.64.4.10 → 192.0.2.7:443",
        "northnet-box: 3 or more other decisions",
        "transit-one has lost 100.64.0.0/16 of northnet",
    ]
    cells = [cell for cell in shown.values() if cell]
    assert cells[0] == ["messenger", "northnet/coast/ordinary", "whatsapp", "ipv4"]
    whys = [source.cell(*cell).get("why") for cell in cells]
    assert whys[0] is not None and whys[0]["policies"] == ["whatsapp-reset"]
    assert whys[2] is not None, "what got through is explained, too"


def test_of_a_run_that_is_over_each_phase_has_its_own_lines(run: Run, shutdown: Shutdown, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "run") as record:
        for event in (begun(run), *measured(run, "baseline"), *measured(run, "messenger"), DECIDED, finished(run)):
            record(event)
    source = FinishedRun(Run.open(tmp_path / "run"))
    kinds = {phase: [line["kind"] for line in source.happened(phase)] for phase in ("baseline", "messenger", "none")}

    assert kinds == {
        "baseline": ["order", "step"],
        "messenger": ["order", "step", "decision", "decision", "decision", "step"],
        "none": [],
    }
    (cell,) = [line["cell"] for line in source.happened("messenger") if "elsewhere" in line["text"]]
    assert cell[2] == "elsewhere.example"


def test_without_its_scenario_decisions_are_reported_and_open_nothing(run: Run) -> None:
    source = RunSource("x", None, "it is gone")
    for event in (begun(run), *measured(run, "messenger"), DECIDED, REROUTED):
        source(event)
    lines = [line for name, line in told(source).items() if name.startswith("log/")]

    assert [line["text"] for line in lines if line["kind"] == "bgp"] == ["transit-one has lost 100.64.0.0/16"]
    assert sum(line["kind"] == "decision" for line in lines) == 2
    assert not any("cell" in line for line in lines)


def reading(phase: str, value: float) -> Reading:
    return Reading(
        signal="bgp", phase=phase, scope="country", of="", family="ipv4", value=value, unit="share", basis="measured"
    )


def test_outsiders_curves_fill_up_as_the_run_goes_on_and_what_was_void_is_gone(run: Run, shutdown: Shutdown) -> None:
    source = RunSource("x", shutdown)
    for event in (begun(run), *measured(run, "baseline")):
        source(event)
    assert source.view()["view/outside"] == "", "nobody has looked yet"

    for phase, value in (("messenger", 1.0), ("blackout", 0.25)):
        source(Observed(phase=phase, readings=(reading(phase, value),)))
        for event in measured(run, phase):
            source(event)
    view = source.view()
    assert "25%" in view["view/outside"] and "in blackout" in view["view/outside"]
    assert view["view/timeline"].count('class="pg-signal"') == 2
    assert "Outsiders" in view["view/top"]

    source(Voided(phase="blackout", reasons=("a switch died",)))
    assert "25%" not in source.view()["view/outside"]


def told(source: RunSource) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(source.board.since(0)[1])["set"]
    return found


def waited_for(source: RunSource, phase: str) -> None:
    until(lambda: phase in [each[0] for each in told(source).get("view/data/phases", ())])


def until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def test_on_a_busy_machine_the_page_is_drawn_no_less_often_than_its_share_of_a_processor_allows() -> None:
    """What others took while it was drawn was counted as its own, and it then waited twenty-five times as long."""
    drawn = threading.Semaphore(0)

    class Slow(RunSource):
        def view(self) -> dict[str, Any]:
            time.sleep(0.4)  # others have the processor
            drawn.release()
            return {}

    source = Slow("a run", None)
    source.start()
    assert drawn.acquire(timeout=5)
    source.changed()
    assert drawn.acquire(timeout=5), "it waits for ten seconds"
    source.end()


def test_what_a_shutdown_cost_is_on_the_page_as_in_the_report(tmp_path: Path) -> None:
    """The replay of a run had all of its report but the cost."""
    sl.verify("egypt-2011").write(tmp_path / "egypt")
    run = Run.open(tmp_path / "egypt")
    report, view = sl.report(run).html, FinishedRun(run).view()
    assert "It cost about $88 million" in view["view/top"] and 'href="#cost"' in view["view/top"]
    assert view["view/top"] in report
    assert view["view/cost"] and view["view/cost"] in report


def test_what_is_not_known_of_a_run_has_no_section_on_the_page(run: Run) -> None:
    view = FinishedRun(run).view()
    assert view["view/cost"] == "" and "#cost" not in view["view/top"]
