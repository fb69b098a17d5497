"""`sl.run` and `sl.Run`: a run that a program starts, listens to, and reads, also while it goes on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import outside
import pytest
from invocation import finished, invoke, kill_inside, small, under_way, wait_for_event

import shutdownlab as sl
from shutdownlab.results.events import Begun, Event, Finished, Measured, PhaseMeasured, decode


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[sl.Run, list[Event]]:
    """A small scenario up to its blackout, in a thread that is not the main one."""
    place = tmp_path_factory.mktemp("played")
    heard: list[Event] = []
    runs: list[sl.Run] = []

    def play() -> None:
        runs.append(sl.run(small(place), place / "run", until="blackout", on_event=heard.append))

    thread = threading.Thread(target=play)
    thread.start()
    thread.join()
    return runs[0], heard


def test_a_program_gets_what_was_measured(played: tuple[sl.Run, list[Event]]) -> None:
    run, _ = played
    assert (run.status, run.exit_code, run.faults, run.unmet) == ("finished", 0, [], [])
    assert [phase.phase for phase in run.phases] == ["baseline", "blackout"], "`until` includes that phase"
    assert len(run.results) == 36
    ping = next(r for r in run.results if r.target == "ping" and r.outcome == "ok")
    assert ping.value is not None
    assert 0 < ping.value < 2000
    assert (ping.unit, ping.certainty) == ("ms", "certain")
    lost = next(r for r in run.results if r.outcome == "blocked")
    assert (lost.certainty, lost.tries >= 2) == ("confirmed", True)
    assert run.table["blackout", "ping"].fraction == 0
    assert len(list(run.measurements())) == 36


def test_events_come_as_they_happen_and_are_those_of_the_file(played: tuple[sl.Run, list[Event]]) -> None:
    run, heard = played
    assert isinstance(heard[0], Begun)
    assert isinstance(heard[-1], Finished)
    written = list(run.events())
    assert [event for event in heard if not event.transient] == written
    results = [
        event.result.model_copy(update={"phase_seconds": None}) for event in written if isinstance(event, Measured)
    ]
    in_file = [result.model_copy(update={"phase_seconds": None}) for result in run.results]
    assert sorted(results, key=str) == sorted(in_file, key=str)


def test_a_listener_that_raises_ends_the_run(tmp_path: Path) -> None:
    def once(event: Event) -> None:
        if isinstance(event, Measured):
            raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        sl.run(small(tmp_path), tmp_path / "run", on_event=once)

    assert sl.Run.open(tmp_path / "run").status == "interrupted"


def test_what_a_program_asks_wrongly_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"until": "blackuot"}, "until: found unknown phase 'blackuot'"),
        ({"choose": {"who": "me"}}, "choose: found unknown account 'who'"),
        ({"real_time": 0.0}, "real_time: found 0;"),
    ]
    for options, message in wrong:
        with pytest.raises(sl.BadInput, match=re.escape(message)):
            sl.run(small(tmp_path), tmp_path / "run", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
    with pytest.raises(sl.BadInput, match="no such directory"):
        sl.Run.open(tmp_path / "run")


def test_a_run_is_read_while_it_goes_on_and_after_it_was_killed(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        going = sl.Run.open(record.path)
        assert (going.status, going.exit_code) == ("running", None)
        assert {result.phase for result in going.results} == {"baseline"}
        process.kill()
        process.wait()
        outside.wait_until(lambda: sl.Run.open(record.path).status == "killed", "nobody holds the run any more")
    killed = sl.Run.open(record.path)
    assert killed.exit_code == 3
    assert [phase.phase for phase in killed.phases] == ["baseline"]


def test_events_go_to_a_file_and_to_a_descriptor(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    lines: list[bytes] = []

    def read() -> None:
        with os.fdopen(read_end, "rb") as pipe:
            lines.extend(pipe)

    reader = threading.Thread(target=read)
    reader.start()
    argv = [sys.executable, "-m", "shutdownlab", "run", str(small(tmp_path)), "--until", "baseline", "--out", "run"]
    subprocess.run([*argv, "--events", str(write_end)], cwd=tmp_path, pass_fds=(write_end,), check=True)
    os.close(write_end)
    reader.join()
    events = [decode(line) for line in lines]
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, PhaseMeasured) for event in events)

    done = invoke(tmp_path, "run", small(tmp_path), "--out", "other", "--events", "no/such/place")
    assert done.code == 2
    assert "--events: found no/such/place, which cannot be written (no such file or directory)" in done.output
    assert not (tmp_path / "other").exists()


@pytest.mark.thorough
def test_a_killed_run_says_so(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        kill_inside(process, "lab-init")
        done = finished(process)
    assert done.code == 3
    assert "The run was killed by SIGKILL." in done.output
    assert json.loads((record.path / "manifest.json").read_text())["status"] == "killed"
