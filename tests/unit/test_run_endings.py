"""However a run ends, its directory says so, and the user reads one message."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.control.processes import ControlError
from shutdownlab.measure.supervisor import AgentError
from shutdownlab.reporting.progress import Progress
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Built, Event, Finished, Interrupted, Notice, PhaseMeasured
from shutdownlab.results.manifest import Emulation, PhaseInfo
from shutdownlab.results.run import Run
from shutdownlab.runner import event_stream, run, walk
from shutdownlab.runner.measuring import Measuring
from shutdownlab.servers.start import ServicesNotReady
from shutdownlab.system.child_process import ForkedError, ending
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.verifier.verify import verify


@pytest.fixture
def payload(tmp_path: Path) -> dict[str, Any]:
    shutdown = library.load("first-shutdown")
    choices = shutdown.scenario.default_choices()
    return {"shutdown": shutdown, "choices": choices, "directory": tmp_path / "run"}


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let building the country raise this."""

    def break_with(error: BaseException) -> None:
        def build(*_: object) -> None:
            raise error

        monkeypatch.setattr(walk, "build", build)

    return break_with


def played(payload: dict[str, Any]) -> int:
    """The run's exit code; what it tells a user goes to standard output."""
    return run.recorded(walk.RunOptions(**payload), [Progress(Path("run"))])


def recorded(payload: dict[str, Any]) -> tuple[str, list[str]]:
    """The manifest's status, and the kinds of events."""
    directory = payload["directory"]
    events = [json.loads(line)["event"] for line in (directory / "events.jsonl").read_text().splitlines()]
    return json.loads((directory / "manifest.json").read_text())["status"], events


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (-9, "was killed by SIGKILL"),
        (-40, "was killed by signal 40"),
    ],
)
def test_a_process_that_a_signal_killed_is_said_to_be(status: int, said: str) -> None:
    assert ending(status) == said


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ControlError("phase blackout: not confirmed\nkcell: lost"), ["phase blackout: not confirmed", "kcell: lost"]),
        (ServicesNotReady(["bird on x: no route", "nginx on y: died"]), ["bird on x: no route", "nginx on y: died"]),
        (ForkedError("relay was not ready within 10 s"), ["relay was not ready within 10 s"]),
        (AgentError("probe agents did not start: a, b"), ["probe agents did not start: a, b"]),
        (ForkedError("box: Traceback (most recent call last):\n  x\nKeyError: 1"), ["box: KeyError: 1"]),
        (OSError(28, "No space left on device", "run/x"), ["No space left on device: run/x"]),
    ],
)  # fmt: skip
def test_a_run_that_breaks_off_is_reported_without_a_traceback_and_ends_with_3(
    error: Exception,
    told: list[str],
    payload: dict[str, Any],
    breaking: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    breaking(error)
    assert played(payload) == 3
    output = capsys.readouterr().out.splitlines()
    assert output[1:] == [
        "The run broke off:",
        *(f"    {line}" for line in told),
        "Logs of every process are in run/logs.",
    ]
    assert recorded(payload) == ("broken", ["begun", "broken", "finished"])
    assert "Traceback" in (payload["directory"] / "logs" / "run.log").read_text(), "in full for who wants it"


def test_an_interrupt_is_recorded_and_goes_on(
    payload: dict[str, Any], breaking: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    breaking(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        played(payload)
    assert recorded(payload) == ("interrupted", ["begun", "interrupted", "finished"])
    told = capsys.readouterr().out
    assert "Interrupted. What was measured is in run. To go on: `shutdownlab resume run`." in told
    said = CliRunner().invoke(app, ["report", str(payload["directory"])])
    assert (said.exit_code, said.output) == (
        0,
        "\nNo phase was measured to its end.\nThe run was interrupted; this is what it had measured by then. "
        f"`shutdownlab resume {payload['directory']}` goes on with it.\n",
    )


def test_a_notice_of_every_phase_and_of_a_rebuilt_country_is_printed_once() -> None:
    output = StringIO()
    progress = Progress(Path("run"), Console(file=output, width=200))
    names, at = ("one", "two", "three"), datetime(2030, 5, 1, tzinfo=UTC)
    phases = tuple(PhaseInfo(phase=name, at=at, title=name) for name in names)
    progress(Begun(version="1", run="run", scenario="a", title="A", topology="t", operators={}, phases=phases))
    built = Built(emulation=Emulation(datapath="userspace", datapath_because="asked for"), seconds={})
    for name in names:
        progress(built)
        progress(Notice(where=name, text="censored-planet could not be observed: no web site"))
        progress(Notice(where="northnet", text="lost the DPI box"))
    progress(Finished(status="finished", exit_code=0, seconds=1, cells=0, expectations=0, unmet=0, errors=0))
    told = [line for line in output.getvalue().splitlines() if "datapath" in line or "note:" in line]
    assert told == [
        "Open vSwitch's userspace datapath: asked for",
        "note: one: censored-planet could not be observed: no web site",
        *["note: northnet: lost the DPI box"] * 3,
        "note: in 2 more phases, too: censored-planet could not be observed: no web site",
    ]


@pytest.mark.parametrize("read_all", [True, False], ids=["it had read all", "it had not read all"])
@pytest.mark.parametrize("terminal", [False, True], ids=["an event is told", "its terminal hangs up"])
def test_a_run_whose_starter_is_killed_does_not_say_that_it_was_interrupted(
    payload: dict[str, Any], breaking: Callable[[BaseException], None], *, read_all: bool, terminal: bool
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.send(b"" if read_all else b"what was told before\n")
        ours.close()  # as the kernel does, before it kills the sandbox
        payload["events_fd"] = theirs.fileno()
        breaking(KeyboardInterrupt())
        with pytest.raises(event_stream.StarterKilled):
            run.inside(payload) if not terminal else run.recorded(walk.RunOptions(**payload), [])
    assert recorded(payload) == ("running", ["begun"])
    assert Run.open(payload["directory"]).status == "killed"


def test_a_run_whose_listener_raises_is_interrupted_and_the_listeners_error_kept(
    payload: dict[str, Any], breaking: Callable[[BaseException], None]
) -> None:
    def refuse(_: Event) -> None:
        raise ValueError("enough")

    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = event_stream.EventReader(ours, refuse)
        reader.start()
        write = event_stream.EventWriter(theirs.fileno())
        write(Interrupted())
        reader.join()
        breaking(AttributeError("not reached"))
        payload["events_fd"] = theirs.fileno()
        with pytest.raises(event_stream.ListenersGone):
            run.inside(payload)
    assert isinstance(reader.raised, ValueError)
    assert recorded(payload) == ("interrupted", ["begun", "interrupted", "finished"])


def test_a_lack_of_the_machine_is_recorded_and_reported_outside_the_sandbox(
    payload: dict[str, Any], breaking: Callable[[BaseException], None]
) -> None:
    breaking(MachineCannot("start nginx", "it is not installed", "install it"))
    with pytest.raises(MachineCannot):
        played(payload)
    assert recorded(payload) == ("machine lacks", ["begun", "machine-lacks", "finished"])


def test_a_mistake_of_ours_keeps_its_traceback_and_is_recorded_as_a_crash(
    payload: dict[str, Any], breaking: Callable[[BaseException], None]
) -> None:
    breaking(AttributeError("no such thing"))
    with pytest.raises(AttributeError):
        played(payload)
    assert recorded(payload) == ("crashed", ["begun", "crashed", "finished"])


def test_a_directory_with_a_run_in_it_is_left_alone(
    payload: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    payload["directory"].mkdir()
    (payload["directory"] / "manifest.json").write_text("{}")
    assert played(payload) == 3
    told = capsys.readouterr().out.splitlines()
    assert told == ["The run broke off:", f"    {payload['directory']} holds the results of a run already"]
    assert [path.name for path in payload["directory"].iterdir()] == ["manifest.json"]


def test_a_directory_that_cannot_be_written_is_reported(
    payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutdownlab.results.directory.RunDirectory.__call__", full)
    monkeypatch.setattr(walk, "build", full)
    assert played(payload) == 3
    assert "    No space left on device" in capsys.readouterr().out.splitlines()


def test_measurements_of_nearly_the_same_time_are_sent_together_and_a_phases_end_at_once(
    payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutdown = payload["shutdown"]
    phase = shutdown.scenario.timeline[0]
    told: list[Event] = []
    Measuring(shutdown, payload["choices"], "run").unknown(phase, ["no country"], told.append)
    assert len(told) > 50
    read, write = os.pipe()
    stream = event_stream.EventWriter(write)
    with os.fdopen(read, "rb") as lines:
        monkeypatch.setattr(event_stream, "_TOGETHER_S", 60.0)
        for event in told:
            stream(event)
        assert len(os.read(read, 1 << 20).splitlines()) == 1, "the first is told at once, the others wait"
        stream(Interrupted())
        os.close(write)
        kinds = [json.loads(line)["event"] for line in lines]
    assert kinds == ["measured"] * (len(told) - 1) + ["interrupted"]


@pytest.mark.parametrize("ended", ["to its end", "killed in a phase"])
def test_what_verify_wrote_is_not_resumed_as_a_run_and_never_says_that_it_was_measured(
    ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified, directory = verify("first-shutdown"), tmp_path / "model"
    if ended != "to its end":
        monkeypatch.setattr(RunDirectory, "_write", killed_by(PhaseMeasured, RunDirectory._write))
    with suppress(KeyboardInterrupt):
        verified.write(directory)
    monkeypatch.undo()
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    done = CliRunner().invoke(app, ["resume", str(directory)])
    assert done.exit_code == 2
    assert "found what `verify` wrote; expected a run that was interrupted, killed or broke off" in done.output
    assert "hint: with packets it is `shutdownlab run first-shutdown`" in done.output
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
    assert Run.open(directory).status == "verified"


def killed_by(kind: type[Event], write: Callable[[RunDirectory, Event], None]) -> Callable[[RunDirectory, Event], None]:
    """What writes an event, unless it is of this kind."""

    def writes(directory: RunDirectory, event: Event) -> None:
        if isinstance(event, kind):
            raise KeyboardInterrupt
        write(directory, event)

    return writes
