"""`sl.Run` reads what there is: of a run under way, of one that broke off anywhere, and of version 0.1."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Fault, Measured, PhaseMeasured
from shutdownlab.results.manifest import PhaseInfo
from shutdownlab.results.result import Result

VERSION_0_1 = Path(__file__).parents[1] / "data" / "run-0.1"
PHASES = ("baseline", "messengers", "blackout")
AT = datetime(2030, 5, 1, 8, tzinfo=UTC)
SOURCE = 'He said: "all off",\nin Қазақстан'
CELLS = 3
FILES = ("results.csv", "events.jsonl", "measurements.jsonl")


def measured(phase: str, number: int) -> Measured:
    result = Result(
        phase=phase, time=AT, operator="kcell", region="almaty", subscriber="ordinary", target=f"probe-{number}",
        family=Family.IPV4, outcome=Outcome.OK, expected=Outcome.OK, weight=1.5, source=SOURCE,
    )  # fmt: skip
    return Measured(number=number, result=result, record={"input": f"{phase} {number}"})


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[RunDirectory]:
    """Of a run that has measured all its phases but the last, and of that one all cells but one."""
    with RunDirectory(tmp_path / "run") as directory:
        phases = tuple(PhaseInfo(phase=phase, at=AT, title=phase.title()) for phase in PHASES)
        directory(
            Begun(
                version="0.2.0", run="run", scenario="small", title="Small", topology="two-operators", operators={},
                phases=phases, columns=("probe-1", "probe-0"),
            )
        )  # fmt: skip
        for phase in PHASES[:-1]:
            for number in reversed(range(CELLS)):
                directory(measured(phase, number))
            directory(PhaseMeasured(phase=phase, cells=CELLS, reached=CELLS, unmet=0, seconds=2))
        for number in range(CELLS - 1):
            directory(measured(PHASES[-1], number))
        directory(Fault(text="nginx was killed"))
        yield directory


def test_a_run_under_way_has_the_phases_that_are_measured(directory: RunDirectory) -> None:
    run = sl.Run.open(directory.path)
    assert (run.status, run.exit_code) == ("running", None)
    assert [(phase.phase, phase.title) for phase in run.phases] == [
        ("baseline", "Baseline"),
        ("messengers", "Messengers"),
    ]
    assert [result.target for result in run.results] == ["probe-0", "probe-1", "probe-2"] * 2
    assert {(result.source, result.phase_seconds) for result in run.results} == {(SOURCE, 2.0)}
    assert run.table.columns == ("probe-1", "probe-0", "probe-2")
    assert run.manifest["rows"] == {"baseline": CELLS, "messengers": CELLS}


def test_of_a_run_that_was_killed_half_a_phase_counts_for_nothing(directory: RunDirectory) -> None:
    directory.__exit__(None, None, None)
    with (directory.path / "results.csv").open("a", newline="") as file:  # killed while it wrote a phase's rows
        csv.writer(file).writerow(["blackout", *next(csv.reader([rows(directory.path)[1]]))[1:]])
    run = sl.Run.open(directory.path)
    assert (run.status, run.exit_code, run.faults) == ("killed", 3, ["nginx was killed"])
    assert [phase.phase for phase in run.phases] == ["baseline", "messengers"]


def rows(path: Path) -> list[str]:
    return (path / "results.csv").read_text().splitlines()


def test_a_run_of_version_0_1_is_read() -> None:
    run = sl.Run.open(VERSION_0_1)
    assert (run.status, run.exit_code, run.faults, run.unmet) == ("finished", 0, [], [])
    assert [phase.phase for phase in run.phases] == ["baseline", "messenger"]
    assert len(run.results) == len(list(run.measurements())) == 8
    blocked = run.results[4]
    assert (blocked.vantage, blocked.outcome, blocked.failure) == (
        "southcell/capital/ordinary",
        Outcome.BLOCKED,
        "generic_timeout_error",
    )
    assert (blocked.weight, blocked.value, blocked.phase_seconds) == (1.0, None, None)
    assert run.table["messenger", "whatsapp"].fraction == 0
    assert "first-shutdown" in str(run)
    assert all(event.event != "measured" for event in run.events())


def test_a_file_is_no_run_and_is_called_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(sl.BadInput, match=r"mine\.yaml: found a file; expected a directory that `shutdownlab run`"):
        sl.Run.open(tmp_path / "mine.yaml")
    with pytest.raises(
        sl.BadInput, match=r"hint: to make one: `shutdownlab run SCENARIO`, or in seconds `shutdownlab v"
    ):
        sl.Run.open("first-shutdown")


@given(data=st.data())
@pytest.mark.parametrize("version", ["0.1", "now"])
def test_wherever_its_files_are_cut_a_run_is_read_up_to_the_last_whole_phase_and_line(
    version: str, data: st.DataObject, finished: Path
) -> None:
    whole = VERSION_0_1 if version == "0.1" else finished
    complete = sl.Run.open(whole)
    with TemporaryDirectory() as place:
        path = Path(place) / "run"
        shutil.copytree(whole, path)
        kept = {}
        for name in FILES:
            content = (path / name).read_bytes()
            kept[name] = content[: data.draw(st.integers(0, len(content)), name)]
            (path / name).write_bytes(kept[name])
        run = sl.Run.open(path)
        counts = Counter(result.phase for result in complete.results)
        rows = Counter(row[0] for row in whole_rows(kept["results.csv"]))
        known = set(counts)
        if version == "0.1":  # whose events alone say how many rows a phase has
            lines = kept["events.jsonl"].decode().split("\n")[:-1]
            known = {event["phase"] for event in map(json.loads, lines) if event["event"] == "measured"}
        expected = [r for r in complete.results if r.phase in known and rows[r.phase] == counts[r.phase]]
        assert run.results == expected
        assert [phase.phase for phase in run.phases] == list(dict.fromkeys(result.phase for result in expected))
        lines = kept["measurements.jsonl"].count(b"\n")
        assert list(run.measurements()) == list(complete.measurements())[:lines]
        events = list(run.events())
        assert events == list(complete.events())[: len(events)]
        if version == "now":
            assert len(events) == kept["events.jsonl"].count(b"\n")


def whole_rows(content: bytes) -> list[list[str]]:
    """The rows of a CSV file whose ends (a return and a newline) are there."""
    end = content.rfind(b"\r\n") + 2
    return list(csv.reader(io.StringIO(content[:end].decode(), newline="")))[1:] if end > 1 else []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two whole phases."""
    with RunDirectory(tmp_path_factory.mktemp("finished") / "run") as directory:
        for phase in PHASES[:2]:
            for number in range(CELLS):
                directory(measured(phase, number))
            directory(PhaseMeasured(phase=phase, cells=CELLS, reached=CELLS, unmet=0, seconds=2))
    return directory.path


def test_of_a_copy_that_is_not_whole_the_report_says_what_it_lacks(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "results.csv"
    kept = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(kept[:-2]))  # a row, of two lines
    run = sl.Run.open(tmp_path / "run")
    told = "results.csv has 2 of the 3 rows of messengers: this copy is not whole"
    assert (run.gaps, [phase.phase for phase in run.phases]) == ([told], ["baseline"])
    done = CliRunner().invoke(app, ["report", str(run.path)])
    assert told in " ".join(done.output.split())
    assert told in sl.report(run).html
    assert sl.Run.open(finished).gaps == sl.Run.open(VERSION_0_1).gaps == []


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("rows", 3, "rows: found 3; expected a mapping"),
        ("choices", "x", "choices: found 'x'; expected a mapping"),
        ("columns", 3, "columns: found 3; expected a list"),
        ("phases", [{"phase": "a"}], "phases[0].at: "),
        ("status", "done", "status: found 'done'; expected one of running, finished, self-check failed, broken"),
        ("faults", None, "faults: found nothing; expected a list"),
    ],
)
def test_a_manifest_that_somebody_changed_is_refused_with_the_key(
    key: str, value: object, told: str, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    file = tmp_path / "run" / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    for command in (["report"], ["report", "--as", "ooni"], ["resume"], ["diff", str(finished)]):
        done = CliRunner().invoke(app, [command[0], *command[1:], str(tmp_path / "run")])
        assert (done.exit_code, done.output.count("manifest.json: ")) == (2, 1), command
        assert f"manifest.json: {told}" in " ".join(done.output.split())
        assert "hint: put the file back as shutdownlab wrote it" in done.output


@given(cut=st.integers(0, 600))
def test_a_manifest_that_is_cut_is_refused_with_its_name(cut: int) -> None:
    with TemporaryDirectory() as place:
        file = Path(place) / "manifest.json"
        file.write_text((VERSION_0_1 / "manifest.json").read_text()[:cut])
        with pytest.raises(sl.BadInput, match="not JSON"):
            sl.Run.open(place)


@pytest.mark.parametrize(
    ("name", "line", "content", "found"),
    [
        ("results.csv", 3, "baseline,yesterday,a,b,c,d,ipv4,ok,,\n", "'yesterday'"),
        ("measurements.jsonl", 9, "{\n", "not JSON"),
        ("events.jsonl", 10, "\0\0\n", "not JSON"),
        ("events.jsonl", 10, "\udcff\n", "not UTF-8 text"),
    ],
)
def test_a_line_that_is_not_a_record_of_a_run_is_reported_with_its_number(
    tmp_path: Path, name: str, line: int, content: str, found: str
) -> None:
    shutil.copytree(VERSION_0_1, tmp_path / "run")
    file = tmp_path / "run" / name
    kept = file.read_bytes().splitlines(keepends=True)[: line - 1]
    file.write_bytes(b"".join(kept) + content.encode(errors="surrogateescape"))
    run = sl.Run.open(tmp_path / "run")
    with pytest.raises(sl.BadInput) as raised:
        _ = run.results, list(run.measurements()), list(run.events())
    (problem,) = raised.value.problems
    assert (problem.file, problem.line, problem.found) == (str(file), line, found)
