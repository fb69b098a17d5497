"""The run directory, written as the run goes: a crash loses nothing but the measurement under way.

It listens to the run's events, and holds nothing that is not in them.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Mapping
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
from shutdownlab.results.result import COLUMNS, Result, row

FORMAT = 2
"""Of the run directory. 1 had ten columns in results.csv and events of other names."""


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
        self.manifest: dict[str, Any] = {"format": FORMAT}
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
                told = event.model_dump(mode="json", exclude={"event", "at", "version"})
                self._describe(shutdownlab=event.version, status="running", began=event.at.isoformat(), **told)
            case Built():
                self._describe(emulation=event.emulation)
            case SelfChecked() if event.broken:
                self._describe(broken=[f"{result.vantage} {result.target} {result.family}" for result in event.broken])
            case Measured():
                self._results[event.number] = event.result
                if event.record is not None:
                    self._measurements.write(json.dumps(event.record, default=_plain, separators=(",", ":")) + "\n")
            case PhaseMeasured():
                self._phase(event)
            case Fault():
                self._describe(faults=[*self.manifest.get("faults", []), event.text])
            case Finished():
                told = event.model_dump(mode="json", exclude={"event", "at", "seconds", "faults"})
                self._describe(**told, faults=list(event.faults))
                self._describe(seconds={"phases": {}} | self.manifest.get("seconds", {}) | {"total": event.seconds})

    def _phase(self, event: PhaseMeasured) -> None:
        """A phase's rows, in the order of its cells, on the disk when this returns."""
        for _, result in sorted(self._results.items()):
            self._csv.writerow(row(result.model_copy(update={"phase_seconds": event.seconds})))
        self._results.clear()
        for file in (self._csv_file, self._measurements):
            _sync(file)
        self._events.flush()
        phases = self.manifest.get("seconds", {}).get("phases", {}) | {event.phase: event.seconds}
        self._describe(
            seconds={"phases": phases},
            cells=self.manifest.get("cells", 0) + event.cells,
            unmet=self.manifest.get("unmet", 0) + event.unmet,
        )

    def _describe(self, **entries: Any) -> None:
        """Add to the manifest; the file is always whole."""
        self.manifest |= entries | {"updated": datetime.now(UTC).isoformat(timespec="seconds")}
        _write_whole(self.path / "manifest.json", self.manifest)


def mark_killed(path: Path) -> None:
    """Say in the manifest that the run's process was killed: it could not."""
    manifest = json.loads((path / "manifest.json").read_text()) | {"status": "killed"}
    _write_whole(path / "manifest.json", manifest)


def _write_whole(path: Path, manifest: Mapping[str, Any]) -> None:
    """The file is always whole: the old one or the new one."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps(manifest, indent=2, default=str) + "\n")
    draft.replace(path)


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
