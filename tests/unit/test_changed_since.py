"""`run --changed-since`: which cells of a change are measured, and that what is held is never told as measured."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab import comparison
from shutdownlab.cli import app
from shutdownlab.model.scenario import Family, Outcome, Phase
from shutdownlab.reporting.junit import of_run
from shutdownlab.reporting.report import print_story
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Finished, Measured, PhaseMeasured
from shutdownlab.results.place import usable
from shutdownlab.results.result import Result
from shutdownlab.results.selection import Selection, to_leave
from shutdownlab.verifier.selecting import select
from shutdownlab.verifier.verdicts import CellVerdict, Verifier

AT = datetime(2030, 5, 1, 8, tzinfo=UTC)
ROOT = Path(__file__).parents[2]
FIRST = ROOT / "scenarios/first-shutdown.yaml"


def result(phase: str, target: str, outcome: Outcome = Outcome.OK, **more: Any) -> Result:
    return Result(
        phase=phase, time=AT, operator="kcell", region="almaty", subscriber="ordinary", target=target,
        family=Family.IPV4, outcome=outcome, column=target, **more,
    )  # fmt: skip


def phases_of(outcomes: Mapping[str, str]) -> list[Result]:
    """A letter a cell: `o` ok, `b` blocked, `?` unknown."""
    known = {"o": Outcome.OK, "b": Outcome.BLOCKED, "?": Outcome.UNKNOWN}
    return [
        result(phase, f"probe-{number}", known[letter])
        for phase, letters in outcomes.items()
        for number, letter in enumerate(letters)
    ]


def chosen(old: Mapping[str, str], new: Mapping[str, str], *, sample: float = 0.0, seed: int = 0) -> Selection:
    return select(phases_of(old), phases_of(new), list(new), since="old.yaml", sample=sample, seed=seed)


def test_only_cells_that_come_out_otherwise_are_measured_and_the_phases_without_any_are_passed_over() -> None:
    found = chosen(
        {"first": "oooo", "second": "bbbb", "third": "oooo"}, {"first": "oooo", "second": "bobo", "third": "oooo"}
    )
    assert found.changed == {"second": (1, 3)}
    assert found.phases == ("second",)
    assert not found.walks("first") and not found.walks("third")
    assert found.of("second") == {1, 3}


def test_what_the_model_cannot_decide_or_did_not_have_before_is_not_held() -> None:
    found = chosen({"first": "oo?o"}, {"first": "o?oo", "new": "oo"})
    assert found.changed == {"first": (1, 2), "new": (0, 1)}


def test_a_blocked_cell_that_fails_in_another_way_has_changed() -> None:
    old = [result("first", "x", Outcome.BLOCKED, failure="generic_timeout_error")]
    new = [result("first", "x", Outcome.BLOCKED, failure="connection_reset")]
    assert select(old, new, ["first"], since="", sample=0, seed=0).changed == {"first": (0,)}


def test_the_sample_is_a_share_of_the_rest_of_the_phases_that_are_walked_and_drawn_by_the_seed() -> None:
    old = {"walked": "o" * 101, "passed over": "o" * 500}
    new = {"walked": "b" + "o" * 100, "passed over": "o" * 500}
    found = chosen(old, new, sample=0.2)
    assert list(found.drawn) == ["walked"]
    assert len(found.drawn["walked"]) == 20
    assert 0 not in found.drawn["walked"]
    assert chosen(old, new, sample=0.2) == found
    assert chosen(old, new, sample=0.2, seed=1).drawn != found.drawn
    assert chosen(old, new, sample=0.001).drawn["walked"] != ()
    assert chosen(old, new, sample=0).drawn == {}
    assert len(chosen(old, new, sample=1).drawn["walked"]) == 100


def test_a_scenario_is_compared_with_what_it_was_in_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = {"cwd": tmp_path, "check": True, "capture_output": True}
    mine = tmp_path / "mine.yaml"
    mine.write_text(FIRST.read_text())
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(("git", "init", "-q"), env=env, **quiet)
    subprocess.run(("git", "add", "."), env=env, **quiet)
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(("git", *who, "commit", "-qm", "first"), env=env, **quiet)
    monkeypatch.chdir(tmp_path)
    old = "    action: drop  # the app waits"
    assert old in mine.read_text()
    mine.write_text(mine.read_text().replace(old, "    action: reset  # the app fails"))
    shutdown = sl.load(mine)
    names = [phase.phase for phase in shutdown.scenario.timeline]
    by_revision, held = comparison.changed_since("HEAD", shutdown, {}, names, sample=0, seed=0)
    by_path, _ = comparison.changed_since("HEAD:mine.yaml", shutdown, {}, names, sample=0, seed=0)
    by_name, _ = comparison.changed_since("first-shutdown", shutdown, {}, names, sample=0, seed=0)
    assert by_revision.changed == by_path.changed == by_name.changed
    assert sum(map(len, by_revision.changed.values())) == comparison.diff(FIRST, mine).changed > 0
    assert sum(map(len, held.values())) + comparison.diff(FIRST, mine).changed == len(sl.verify(mine).results)
    assert {each.certainty for found in held.values() for each in found.values()} == {"held"}
    assert {each.tries for found in held.values() for each in found.values()} == {0}


def test_of_what_was_before_only_the_phases_that_could_differ_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(FIRST.read_text())
    new.write_text(FIRST.read_text().replace("ports: [tcp/179]}", "ports: [tcp/443]}", 1))
    followed: dict[str, set[str]] = {}
    measure = Verifier.measure

    def counted(self: Verifier, phase: Phase, *more: Any) -> CellVerdict:
        followed.setdefault(self.shutdown.source, set()).add(phase.phase)
        return measure(self, phase, *more)

    monkeypatch.setattr(Verifier, "measure", counted)
    shutdown = sl.load(new)
    names = [phase.phase for phase in shutdown.scenario.timeline]
    selection, _ = comparison.changed_since(old, shutdown, {"command": "operators"}, names, sample=0.05, seed=0)
    assert set(selection.changed) == {"blackout"}
    assert followed[str(old)] == {"blackout"}
    whole = select(sl.verify(old), sl.verify(new), names, since=str(old), sample=0.05, seed=0)
    assert selection == whole


def test_the_self_check_is_of_what_will_be_measured() -> None:
    verified = sl.verify(FIRST)
    shutdown, timeline = verified.shutdown, verified.timeline
    held = {
        phase.phase: {cell.id: result.held_by_the_model() for cell, result in verified.of_phase(phase)}
        for phase in timeline
    }
    first, last = timeline[0], timeline[-1]
    measured = list(held[last.phase])[:3]
    for name in measured:
        del held[last.phase][name]
    left = to_leave(shutdown, held, timeline, first)
    assert len(left) == len(held[first.phase]) - 3
    assert {f"{first.phase} {name.partition(' ')[2]}" for name in measured}.isdisjoint(left)
    assert to_leave(shutdown, held, (first,), first) == held[first.phase]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A run that passed over a phase, and of another one measured a cell of two."""
    held = [
        result("quiet", "a", expected=Outcome.OK).held_by_the_model(),
        result("quiet", "b", expected=Outcome.OK).held_by_the_model(),
        result("loud", "a", Outcome.BLOCKED).held_by_the_model(),
    ]
    with RunDirectory(tmp_path / "run") as record:
        record(
            Begun(version="0", run="run", scenario="small", changed_since="old.yaml", sample=0.5, columns=("a", "b"))
        )
        for number, each in enumerate(held[:2]):
            record(Measured(number=number, result=each))
        record(PhaseMeasured(phase="quiet", cells=2, held=2, reached=2, unmet=0, seconds=0))
        record(Measured(number=1, result=result("loud", "b", expected=Outcome.OK)))
        record(Measured(number=0, result=held[2]))
        record(PhaseMeasured(phase="loud", cells=2, held=1, reached=1, unmet=0, seconds=2))
        record(Finished(status="finished", exit_code=0, seconds=3, cells=4, expectations=3, unmet=0, errors=0))
    return tmp_path / "run"


def test_held_cells_are_rows_that_say_so(directory: Path) -> None:
    run = sl.Run.open(directory)
    assert [(each.phase, each.target, each.certainty, each.held, each.tries) for each in run.results] == [
        ("quiet", "a", "held", "the model", 0), ("quiet", "b", "held", "the model", 0),
        ("loud", "a", "held", "the model", 0), ("loud", "b", "certain", "", 1),
    ]  # fmt: skip
    assert (run.manifest["cells"], run.manifest["held"]) == (4, 3)
    assert (run.manifest["changed_since"], run.manifest["sample"]) == ("old.yaml", 0.5)
    assert len(list(run.measurements())) == 0
    with (directory / "results.csv").open() as file:
        assert [row["certainty"] for row in csv.DictReader(file)] == ["held", "held", "held", "certain"]


def test_the_table_shows_what_is_held_and_leaves_out_phases_of_which_all_is(directory: Path) -> None:
    run = sl.Run.open(directory)
    console = Console(width=120, record=True, file=io.StringIO())
    print_story(console, run.table, run.results, {}, [])
    text = console.export_text()
    assert "quiet" not in text
    assert "0=" in text and "100=" not in text
    assert "= some of it held" in text
    assert "All 1 expectations met; 3 cells are held, as the model has them." in text


def test_junit_skips_what_was_not_measured(directory: Path) -> None:
    suites = ElementTree.fromstring(of_run("small", sl.Run.open(directory).results))
    told = {(suite.get("name"), suite.get("tests"), suite.get("skipped"), suite.get("failures")) for suite in suites}
    assert told == {("quiet", "2", "2", "0"), ("loud", "2", "1", "0")}


def test_a_run_that_is_replaced_takes_its_selection_with_it(directory: Path) -> None:
    (directory / "selection.json").write_text("{}")
    assert usable(directory, force=True) == directory
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--changed-since", "first-shutdown", "--sample", "500%"], "--sample: found 5;"),
        (["--changed-since", "first-shutdown", "--sample", "many"], "expected a share: 5% or 0.05"),
        (["--changed-since", "no-such-scenario"], "no-such-scenario"),
        (["--changed-since", "iran-2019"], "--changed-since: found no cell that the scenario has too"),
        (["--changed-since", "HEAD~1:no/such.yaml"], "--changed-since: found"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_built(
    options: list[str], said: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--out", str(tmp_path / "run"), *options])
    assert done.exit_code == 2
    assert said in done.output.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_resumed_with_another_selection_than_it_began_with(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    shutdown = sl.load(FIRST)
    manifest |= {"status": "interrupted", "digest": shutdown.digest, "source": str(FIRST), "exit_code": None}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    (directory / "selection.json").write_text("{}")
    with pytest.raises(sl.BadInput, match=r"selection\.json, which is not what the run wrote"):
        sl.resume(directory)
