"""The run directory: written as the run goes, so that a crash loses nothing but the measurement under way."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from shutdownlab.model.scenario import Expectation, Outcome, Phase
from shutdownlab.results.cells import Cell

CSV_COLUMNS = (
    "phase", "time", "operator", "region", "subscriber", "target", "family", "outcome", "failure", "expected",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a cell, beside what was expected of it."""

    cell: Cell
    outcome: Outcome
    failure: str | None
    expectation: Expectation | None

    @property
    def met(self) -> bool:
        """A measurement that failed by itself is never what anyone expected."""
        if self.outcome is Outcome.ERROR:
            return False
        return self.expectation is None or self.expectation.outcome is self.outcome


class RunDirectory:
    """`manifest.json`, `events.jsonl`, `measurements.jsonl` and `results.csv` of one run. A context manager."""

    def __init__(self, path: Path) -> None:
        """Raises `FileExistsError` where the directory holds a run already."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        if (path / "manifest.json").exists():
            raise FileExistsError(f"{path} holds the results of a run already")
        self.manifest: dict[str, Any] = {}
        self._events = (path / "events.jsonl").open("a", buffering=1)
        self._measurements = (path / "measurements.jsonl").open("a")
        self._csv_file = (path / "results.csv").open("w", newline="")
        self._csv = csv.writer(self._csv_file)
        self._csv.writerow(CSV_COLUMNS)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._events, self._measurements, self._csv_file):
            file.close()

    def describe(self, **entries: Any) -> None:
        """Add to the manifest; the file is always whole."""
        self.manifest |= entries
        draft = self.path / ".manifest.json"
        draft.write_text(json.dumps(self.manifest, indent=2, default=str) + "\n")
        draft.replace(self.path / "manifest.json")

    def event(self, kind: str, **details: Any) -> None:
        """Something that happened, with the wall clock's time (UTC)."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._events.write(json.dumps({"at": now, "event": kind, **details}, default=str) + "\n")

    def measurement(self, record: Mapping[str, Any]) -> None:
        """One measurement in OONI's format."""
        self._measurements.write(json.dumps(record, default=_plain, separators=(",", ":")) + "\n")

    def rows(self, phase: Phase, results: Iterable[Result]) -> None:
        """A phase's rows, in the order given, on the disk when this returns."""
        self._csv.writerows(row(phase, result) for result in results)
        for file in (self._csv_file, self._measurements):
            _sync(file)


def row(phase: Phase, result: Result) -> tuple[str, ...]:
    """A line of results.csv; `expected` is empty where the scenario expects nothing."""
    vantage = result.cell.vantage.id
    expected = result.expectation.outcome.value if result.expectation else ""
    time = f"{phase.at:%Y-%m-%dT%H:%MZ}"
    return (
        phase.phase, time, *vantage, result.cell.target, result.cell.family.value,
        result.outcome.value, result.failure or "", expected,
    )  # fmt: skip


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
