"""Reads a run directory: of a run that has finished, that broke off, that still goes on, or of an earlier version."""

from __future__ import annotations

import csv
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shutdownlab.config.document import BadInput, Problem
from shutdownlab.results.events import Event, PhaseInfo, decode
from shutdownlab.results.result import Result
from shutdownlab.results.table import Table, table_of

_NOT_A_RUN = "a directory that `shutdownlab run` has written"


@dataclass(frozen=True)
class Run:
    """A run directory, read. Only whole phases count: `results` has what results.csv has.

    What is read is kept; open it again to see what a run that still goes on has written since.
    """

    path: Path
    manifest: dict[str, Any]
    """Versions, kernel, datapath, choices, seed, durations, faults: see the schema `manifest`."""

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run directory; raises `BadInput` where it is none."""
        folder = Path(path)
        file = folder / "manifest.json"
        try:
            manifest = json.loads(file.read_text())
        except FileNotFoundError:
            found = "no manifest.json" if folder.is_dir() else "no such directory"
            raise BadInput([Problem(str(path), 0, "", found, _NOT_A_RUN)]) from None
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or "not JSON"
            raise BadInput([Problem(str(file), 0, "", text.lower(), _NOT_A_RUN)]) from None
        if not isinstance(manifest, dict):
            raise BadInput([Problem(str(file), 0, "", "no mapping", _NOT_A_RUN)])
        return cls(folder, manifest)

    @property
    def status(self) -> str:
        """`finished`; `running`; or how it broke off: see `events.Status`."""
        status = str(self.manifest.get("status", ""))
        if status not in {"running", "started"}:
            return status
        return "running" if self._is_held() else "killed"

    @property
    def exit_code(self) -> int | None:
        """What the command ended with: 0, 1 (an expectation was not met) or 3; None while it runs."""
        if self.status == "running":
            return None
        code = self.manifest.get("exit_code")
        if isinstance(code, int):
            return code
        return 3 if self.status != "finished" else 1 if self.unmet or self.faults else 0

    @property
    def faults(self) -> list[str]:
        """What of the testbed went wrong."""
        return list(self.manifest.get("faults", []))

    @cached_property
    def results(self) -> list[Result]:
        """A `Result` for each row of results.csv; raises `BadInput` with the line of a row that is none."""
        file = self.path / "results.csv"
        found = []
        try:
            with file.open(newline="") as rows:
                for row in csv.DictReader(rows):
                    if None in row.values():  # the last line of a run that was killed, or is being written
                        break
                    found.append(Result.model_validate(row))
        except FileNotFoundError:
            return []
        except ValidationError as error:
            detail = error.errors()[0]
            where, line = ".".join(map(str, detail["loc"])), len(found) + 2
            raise BadInput([Problem(str(file), line, where, repr(detail["input"]), detail["msg"])]) from None
        except OSError as error:
            raise BadInput([Problem(str(file), 0, "", (error.strerror or "").lower(), _NOT_A_RUN)]) from None
        return found

    @property
    def unmet(self) -> list[Result]:
        """The results that are not as expected, those without a verdict among them."""
        return [result for result in self.results if not result.met]

    @cached_property
    def table(self) -> Table:
        """Percent of subscribers who got through, a row a phase; recomputed from results.csv."""
        return table_of(self.results, self.manifest.get("columns", ()))

    @property
    def phases(self) -> list[PhaseInfo]:
        """The phases that have been measured, in order."""
        titles = {phase["phase"]: phase["title"] for phase in self.manifest.get("phases", [])}
        return [PhaseInfo(phase=name, at=at, title=titles.get(name, "")) for name, at in self.table.phases]

    def measurements(self) -> Iterator[dict[str, Any]]:
        """The OONI records of measurements.jsonl (data format 0.2.0), read as they are asked for."""
        for line in self._lines("measurements.jsonl"):
            yield json.loads(line)

    def events(self) -> Iterator[Event]:
        """What happened, in order. Kinds of event that this version does not know are passed over."""
        for line in self._lines("events.jsonl"):
            try:
                event = decode(line)
            except ValidationError:  # of an earlier version
                continue
            if event is not None:
                yield event

    def _lines(self, name: str) -> Iterator[str]:
        """The whole lines of a file: the last one may be under way."""
        try:
            with (self.path / name).open() as file:
                yield from (line for line in file if line.endswith("\n"))
        except FileNotFoundError:
            return

    def _is_held(self) -> bool:
        try:
            with (self.path / "events.jsonl").open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def __str__(self) -> str:
        name = self.manifest.get("scenario", "run")
        return f"{name} in {self.path}: {self.status}, {len(self.results):,} results\n{self.table}"
