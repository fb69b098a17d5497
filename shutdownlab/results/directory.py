"""The run directory, written as the run goes: a crash loses nothing but the measurement under way.

It listens to the run's events, and holds nothing that is not in them.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from shutdownlab.results.events import (
    Begun,
    Built,
    Event,
    Fault,
    Finished,
    Measured,
    PhaseMeasured,
    SelfChecked,
    encode,
)
from shutdownlab.results.manifest import Durations, Manifest
from shutdownlab.results.result import COLUMNS, Result, row


class RunDirectory:
    """`manifest.json`, `events.jsonl`, `measurements.jsonl` and `results.csv` of one run. A context manager.

    While it is open it holds a lock on events.jsonl, by which a reader knows that the run still goes on.
    """

    def __init__(self, path: Path) -> None:
        """Raises `FileExistsError` where the directory holds a run already."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        if (path / "manifest.json").exists():
            raise FileExistsError(f"{path} holds the results of a run already")
        self.manifest = Manifest()
        self._results: dict[int, Result] = {}
        self._events = (path / "events.jsonl").open("ab")
        fcntl.flock(self._events, fcntl.LOCK_EX)
        self._measurements = (path / "measurements.jsonl").open("a")
        self._csv_file = (path / "results.csv").open("w", newline="")
        self._csv = csv.writer(self._csv_file)
        self._csv.writerow(COLUMNS)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._events, self._measurements, self._csv_file):
            file.close()

    def __call__(self, event: Event) -> None:
        """Write an event down; raises OSError where that cannot be done."""
        if not event.transient:
            self._events.write(encode(event))
            if not isinstance(event, Measured):  # of which a phase has thousands
                self._events.flush()
        match event:
            case Begun():
                told = _told(event, but={"version"})
                self._describe(shutdownlab=event.version, began=event.at, **told)
            case Built():
                self._describe(emulation=event.emulation)
            case SelfChecked() if event.broken:
                broken = tuple(f"{result.vantage} {result.target} {result.family}" for result in event.broken)
                self._describe(broken=broken)
            case Measured():
                self._results[event.number] = event.result
                if event.record is not None:
                    self._measurements.write(json.dumps(event.record, default=_plain, separators=(",", ":")) + "\n")
            case PhaseMeasured():
                self._phase(event)
            case Fault():
                self._describe(faults=(*self.manifest.faults, event.text))
            case Finished():
                durations = Durations(phases=self.manifest.seconds.phases, total=event.seconds)
                self._describe(**_told(event, but={"seconds"}), seconds=durations)

    def _phase(self, event: PhaseMeasured) -> None:
        """A phase's rows, in the order of its cells, on the disk when this returns."""
        for _, result in sorted(self._results.items()):
            self._csv.writerow(row(result.model_copy(update={"phase_seconds": event.seconds})))
        self._results.clear()
        for file in (self._csv_file, self._measurements):
            _sync(file)
        self._events.flush()
        manifest = self.manifest
        self._describe(
            seconds=Durations(phases=manifest.seconds.phases | {event.phase: event.seconds}),
            rows=manifest.rows | {event.phase: event.cells},
            cells=manifest.cells + event.cells,
            unmet=manifest.unmet + event.unmet,
        )

    def _describe(self, **entries: Any) -> None:
        """Change the manifest."""
        self.manifest = self.manifest.model_copy(update={**entries, "updated": datetime.now(UTC)})
        _write_whole(self.path / "manifest.json", self.manifest.model_dump_json(indent=2))


def mark_killed(path: Path) -> None:
    """Say in the manifest that the run's process was killed: it could not."""
    manifest = json.loads((path / "manifest.json").read_text()) | {"status": "killed"}
    _write_whole(path / "manifest.json", json.dumps(manifest, indent=2))


def _told(event: Event, but: set[str]) -> dict[str, Any]:
    """What an event has for the manifest, under the same names."""
    names = type(event).model_fields.keys() - {"event", "at"} - but
    return {name: getattr(event, name) for name in names}


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text + "\n")
    draft.replace(path)


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
