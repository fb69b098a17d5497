"""Writes the run directory while the run is in progress: a crash loses at most the current phase.

It is a listener of the run's events, and records nothing else.
"""

from __future__ import annotations

import csv
import json
import os
from contextlib import suppress
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
    Observed,
    PhaseMeasured,
    Resumed,
    SelfChecked,
    SignalsJudged,
    Voided,
    encode,
)
from shutdownlab.results.holding import hold
from shutdownlab.results.manifest import Durations, Manifest, Status
from shutdownlab.results.reading import Reading, read_readings, write_readings
from shutdownlab.results.result import COLUMNS, row

_MEASURED = PhaseMeasured.model_fields["event"].default


class RecordError(Exception):
    """The record of a run cannot be written, for instance because the disk is full."""


class RunDirectory:
    """`manifest.json`, `events.jsonl`, `measurements.jsonl` and `results.csv` of one run. A context manager.

    A phase's rows and measurements are written when the phase is complete.
    """

    def __init__(self, path: Path, *, resume: bool = False, status: Status = "running") -> None:
        """Raises `FileExistsError` if the directory holds a run already, unless `resume`.

        status: what the manifest says until an event changes it: `verified` if no packets are sent.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.manifest = Manifest(status=status)
        if resume:
            self.manifest = Manifest.model_validate_json((path / "manifest.json").read_text())
            _cut_to_whole_phases(path, set(self.manifest.rows))
        elif (path / "manifest.json").exists() or not _made(path / "results.csv"):
            raise FileExistsError(f"{path} holds the results of a run already")
        self._measured: dict[int, Measured] = {}
        whole = set(self.manifest.rows)
        self._readings = [reading for reading in read_readings(path) if reading.phase in whole]
        self._observed: tuple[Reading, ...] = ()
        self._events = (path / "events.jsonl").open("ab")
        self._measurements = (path / "measurements.jsonl").open("a")
        self._csv_file = (path / "results.csv").open("a", newline="")
        self._csv = csv.writer(self._csv_file)
        if not resume:
            self._csv.writerow(COLUMNS)
        self._lock = hold(path)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._events, self._measurements, self._csv_file):
            with suppress(OSError):  # a failed write was reported when it happened
                file.close()
        self._lock.close()

    def __call__(self, event: Event) -> None:
        """Records an event; raises `RecordError` if it cannot be written."""
        try:
            self._write(event)
        except OSError as error:
            raise RecordError(f"{error.strerror or error}: {error.filename or self.path}") from error

    def _write(self, event: Event) -> None:
        if not event.transient:
            self._events.write(encode(event))
            if not isinstance(event, Measured):  # a phase has thousands of them
                self._events.flush()
        match event:
            case Begun():
                entries = _entries(event, but={"version"})
                self._describe(shutdownlab=event.version, began=event.at, **entries)
            case Built():
                self._describe(emulation=event.emulation)
            case SelfChecked() if event.broken:
                broken = tuple(f"{result.vantage} {result.target} {result.family}" for result in event.broken)
                self._describe(broken=broken)
            case Measured():
                self._measured[event.number] = event
            case Observed():
                self._observed = event.readings
            case Voided():
                self._measured.clear()
                self._observed = ()
                reasons = (f"{event.phase}: {reason}" for reason in event.reasons)
                self._describe(faults=(*self.manifest.faults, *reasons))
            case Resumed():
                self._describe(status="running")
            case PhaseMeasured():
                self._phase(event)
            case Fault():
                self._describe(faults=(*self.manifest.faults, event.text))
            case SignalsJudged():
                self._describe(signals=event.signals)
            case Finished():
                if self._readings and not self.manifest.observe:  # the model's, which has nothing to lose meanwhile
                    write_readings(self.path, self._readings)
                durations = Durations(phases=self.manifest.seconds.phases, total=event.seconds)
                self._describe(**_entries(event, but={"seconds"}), seconds=durations)

    def _phase(self, event: PhaseMeasured) -> None:
        """Writes a phase's rows, in the order of its cells; they are synced to disk when this returns."""
        for _, measured in sorted(self._measured.items()):
            self._csv.writerow(row(measured.result.model_copy(update={"phase_seconds": event.seconds})))
            if measured.record is not None:
                self._measurements.write(json.dumps(measured.record, default=_plain, separators=(",", ":")) + "\n")
        self._measured.clear()
        for file in (self._csv_file, self._measurements):
            _sync(file)
        self._readings += self._observed
        self._observed = ()
        if self.manifest.observe:
            write_readings(self.path, self._readings)
        self._events.flush()
        manifest = self.manifest
        self._describe(
            seconds=Durations(phases=manifest.seconds.phases | {event.phase: event.seconds}),
            rows=manifest.rows | {event.phase: event.cells},
            cells=manifest.cells + event.cells,
            unmet=manifest.unmet + event.unmet,
            errors=manifest.errors + event.errors,
            held=manifest.held + event.held,
        )

    def _describe(self, **entries: Any) -> None:
        """Updates the manifest, and writes it."""
        self.manifest = self.manifest.model_copy(update={**entries, "updated": datetime.now(UTC)})
        _write_whole(self.path / "manifest.json", self.manifest.model_dump_json(indent=2))


def _made(path: Path) -> bool:
    """Creates a file; returns whether it did not exist before. Atomic: only one of two processes can succeed."""
    try:
        path.open("x").close()
    except FileExistsError:
        return False
    return True


def _cut_to_whole_phases(path: Path, whole: set[str]) -> None:
    """Removes what a run has written of incomplete phases, and half-written lines."""
    file = path / "results.csv"
    with file.open(newline="") as old:
        rows = [row for row in csv.DictReader(old) if row["phase"] in whole and None not in row.values()]
    draft = file.with_suffix(".draft")
    with draft.open("w", newline="") as new:
        writer = csv.DictWriter(new, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(file)
    file = path / "measurements.jsonl"
    if file.exists():
        draft = file.with_suffix(".draft")
        with file.open() as old, draft.open("w") as new:
            new.writelines(line for line in old if line.endswith("\n") and _phase_of(line) in whole)
        draft.replace(file)
    events = path / "events.jsonl"
    if events.exists():  # in place: the file carries the lock
        os.truncate(events, _length_to_whole_phases(events, whole))


def _length_to_whole_phases(events: Path, whole: set[str]) -> int:
    """Returns the length in bytes of the events before a half-written line, or before the end of a phase that the
    manifest does not record."""
    length = 0
    with events.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break
            event = json.loads(line)
            if event["event"] == _MEASURED and event["phase"] not in whole:
                break
            length += len(line)
    return length


def _phase_of(line: str) -> str:
    return str(json.loads(line)["annotations"]["phase"])


def mark_ended(path: Path, status: Status) -> None:
    """Records in the manifest how a run ended, if its own process could not; does nothing if the disk is full."""
    manifest = json.loads((path / "manifest.json").read_text()) | {"status": status}
    with suppress(OSError):
        _write_whole(path / "manifest.json", json.dumps(manifest, indent=2))


def _entries(event: Event, but: set[str]) -> dict[str, Any]:
    """Returns the fields of an event that the manifest has under the same names."""
    names = type(event).model_fields.keys() - {"event", "at"} - but
    return {name: getattr(event, name) for name in names}


def _write_whole(path: Path, text: str) -> None:
    """Replaces a file atomically: a reader finds the old text or the new one."""
    draft = path.with_name(f".{path.name}")
    draft.write_text(text + "\n")
    draft.replace(path)


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
