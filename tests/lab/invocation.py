"""Runs the command line in processes of its own, and reads what a run leaves behind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import outside
import pytest
import warm
import yaml

from shutdownlab import library

MAIN = "import sys; sys.argv[0] = 'shutdownlab'; from shutdownlab.cli import main; main()"
_LONGEST_S = 180.0
"""No run here takes a tenth of it on an idle machine."""

Json = dict[str, Any]
CellName = tuple[str, ...]


def shutdownlab(user: str, place: Path) -> tuple[list[str], dict[str, str]]:
    """The argv of the command, with which terminal output is 80 columns wide and plain, and its environment."""
    python, env = outside.python_of(user, place)
    for variable in ("COLUMNS", "FORCE_COLOR", "CLICOLOR_FORCE", "TERMINAL_WIDTH"):
        env.pop(variable, None)
    return [*python, "-c", MAIN], env


@dataclass(frozen=True)
class Done:
    """A command that has ended. `output`: both its streams."""

    code: int
    output: str


def invoke(
    place: Path,
    *arguments: object,
    user: str = "same",
    stdin: str = "",
    env: dict[str, str] | None = None,
    longest: float = _LONGEST_S,
    cold: bool = False,
) -> Done:
    """Run the command in `place` to its end. `cold`: by an interpreter that has imported nothing, as a shell does.

    So it is for another user, or in another environment, in any case; else see `warm`.
    """
    argv, environment = shutdownlab(user, place)
    if user == "same" and not env and not cold:
        return Done(*warm.start([str(each) for each in arguments], place, environment, stdin, longest))
    done = subprocess.run(
        [*argv, *map(str, arguments)],
        cwd=place,
        env={**environment, **(env or {})},
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=longest,
        check=False,
    )
    return Done(done.returncode, done.stdout)


@dataclass(frozen=True)
class Record:
    """A run directory."""

    path: Path

    @property
    def rows(self) -> list[dict[str, str]]:
        with (self.path / "results.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @property
    def outcomes(self) -> dict[CellName, str]:
        """The outcome of every cell."""
        named = ("phase", "operator", "region", "subscriber", "target", "family")
        return {tuple(row[column] for column in named): row["outcome"] for row in self.rows}

    @property
    def events(self) -> list[Json]:
        return _lines(self.path / "events.jsonl")

    @property
    def measurements(self) -> list[Json]:
        return _lines(self.path / "measurements.jsonl")

    @property
    def manifest(self) -> Json:
        return dict(json.loads((self.path / "manifest.json").read_text()))

    def events_of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["event"] == kind]


def _lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def under_way(place: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], Record]]:
    """`run ARGUMENTS --out run` in `place`; killed if it still goes on at the end."""
    argv, env = shutdownlab("same", place)
    process = subprocess.Popen(
        [*argv, "run", *map(str, arguments), "--out", "run"],
        cwd=place,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, Record(place / "run")
    finally:
        process.kill()
        process.communicate()


def finished(process: subprocess.Popen[str]) -> Done:
    output, _ = process.communicate(timeout=_LONGEST_S)
    return Done(process.returncode, output)


def wait_for_event(
    process: subprocess.Popen[str], record: Record, kind: str, phase: str, seconds: float = _LONGEST_S
) -> None:
    """Return once the run has written an event of a phase; fails after so many seconds."""

    def there() -> bool:
        if process.poll() is not None:
            pytest.fail(f"the run ended before {kind} of {phase}: {process.communicate()[0]}")
        try:
            return any(event.get("phase", "") == phase for event in record.events_of(kind))
        except (FileNotFoundError, ValueError):  # not there yet, or a line under way
            return False

    outside.wait_until(there, f"{kind} of {phase}", seconds)


def kill_inside(process: subprocess.Popen[str], name: str) -> None:
    """kill -9 every process of the run with this short name (at most 15 characters)."""
    signal_inside(process, name, signal.SIGKILL)


def signal_inside(process: subprocess.Popen[str], name: str, number: int) -> None:
    """Send a signal to every process of the run whose short name begins so (it has at most 15 characters)."""
    victims = [pid for pid in outside.descendants(process.pid) if outside.names(pid).startswith(name)]
    assert victims, f"{name} is not among {sorted({outside.names(pid) for pid in outside.descendants(process.pid)})}"
    for pid in victims:
        os.kill(pid, number)


def cut_off_inside(process: subprocess.Popen[str], name: str) -> None:
    """Take down the link of every node where a process of the run with this short name is: no process notices."""
    victims = [pid for pid in outside.descendants(process.pid) if outside.names(pid).startswith(name)]
    assert victims, f"{name} is not among {sorted({outside.names(pid) for pid in outside.descendants(process.pid)})}"
    for pid in {str(Path(f"/proc/{pid}/ns/net").readlink()): pid for pid in victims}.values():
        outside.cut_off(pid)


SMALL: Json = {
    "format": 1,
    "name": "small",
    "title": "A blackout with a hole",
    "topology": "two-operators",
    "sources": {"FACT": "a newspaper of that day"},
    "policies": {
        "blackout": {
            "title": "All but the government and a port",
            "block": "everything",
            "except": {"subscribers": ["government"], "ports": ["tcp/179"]},
            "source": "FACT",
        }
    },
    "probes": {
        "kaspi.kz": {"test": "web", "url": "https://kaspi.kz/"},
        "ping": {"test": "ping", "host": "8.8.8.8"},
        "bridge-179": {"test": "tcp", "host": "bridge.example.net", "port": "tcp/179"},
    },
    "timeline": [
        {
            "phase": "baseline",
            "at": "2030-05-01T08:00Z",
            "title": "An ordinary day",
            "expect": [{"outcome": "ok", "source": "FACT"}],
        },
        {
            "phase": "blackout",
            "at": "2030-05-01T08:20Z",
            "title": "All off",
            "start": ["blackout"],
            "expect": [
                {"outcome": "blocked", "source": "FACT"},
                {"probes": ["bridge-179"], "outcome": "ok", "source": "FACT"},
                {"who": {"subscribers": ["government"]}, "probes": ["ping"], "outcome": "ok", "source": "FACT"},
            ],
        },
        {
            "phase": "restored",
            "at": "2030-05-01T09:00Z",
            "title": "All back",
            "stop": ["blackout"],
            "expect": [{"outcome": "ok", "source": "FACT"}],
        },
    ],
    "ends": "2030-05-01T10:00Z",
}
"""A scenario of a few seconds: six vantage points, three probes, three phases."""


def small(place: Path, change: Callable[[Json], None] = lambda _: None) -> Path:
    """SMALL as a file in `place`, changed; checked, so that a test's mistake is told as such."""
    scenario = json.loads(json.dumps(SMALL))
    change(scenario)
    path = place / "small.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    library.check(str(path))
    return path


def wall(event: Json) -> float:
    """The wall clock's time of an event, in seconds."""
    return datetime.fromisoformat(event["at"]).timestamp()
