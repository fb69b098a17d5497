"""Reads a run directory, whether the run finished, aborted or is still running, and of earlier versions too."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shutdownlab.config.mistakes import first_problem
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import because
from shutdownlab.results.events import Event, decode
from shutdownlab.results.holding import is_held
from shutdownlab.results.manifest import FORMAT, Manifest, PhaseInfo, Undertaking
from shutdownlab.results.reading import Reading, read_readings
from shutdownlab.results.result import Result
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.results.table import Table, table_of

_NOT_A_RUN = "a directory that `shutdownlab run` has written"
_HOW_TO_HAVE_ONE = "to make one: `shutdownlab run SCENARIO`, or in seconds `shutdownlab verify SCENARIO --out DIR`"


@dataclass(frozen=True)
class Run:
    """A run directory, read. `results` and everything derived from it cover only complete phases.

    Results are cached; open the directory again to see what a run still in progress has written since.
    """

    path: Path
    manifest: dict[str, Any]
    """Versions, kernel, datapath, choices, seed, durations, faults: see the schema `manifest`."""

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Opens a run directory; raises `BadInput` if it is not one, or its manifest is not as a run writes it."""
        if path == "":  # as a Path, the current directory
            raise BadInput([Problem("''", 0, "", "an empty name", _NOT_A_RUN, _HOW_TO_HAVE_ONE)])
        folder = Path(path)
        file = folder / "manifest.json"
        try:
            manifest = json.loads(file.read_text())
        except FileNotFoundError:
            found = "no manifest.json" if folder.is_dir() else "no such directory"
            raise BadInput([Problem(str(path), 0, "", found, _NOT_A_RUN, _HOW_TO_HAVE_ONE)]) from None
        except NotADirectoryError:
            raise BadInput([Problem(str(path), 0, "", "a file", _NOT_A_RUN, _HOW_TO_HAVE_ONE)]) from None
        except (OSError, ValueError, RecursionError) as error:
            found = because(error) if isinstance(error, OSError) else "not JSON"
            raise BadInput([Problem(str(file), 0, "", found, _NOT_A_RUN)]) from None
        if not isinstance(manifest, dict):
            raise BadInput([Problem(str(file), 0, "", "not a mapping", _NOT_A_RUN)])
        kind = Manifest if manifest.get("format") == FORMAT else Undertaking
        try:
            kind.model_validate(manifest)
        except ValidationError as error:
            raise BadInput([first_problem(error, str(file))]) from None
        return cls(folder, manifest)

    @property
    def status(self) -> str:
        """`finished`, `running`, or how the run aborted: see `manifest.Status`."""
        status = str(self.manifest.get("status", ""))
        if status not in {"running", "started"}:
            return status
        return "running" if is_held(self.path) else "killed"

    @property
    def exit_code(self) -> int | None:
        """The command's exit code: 0, 1 (an expectation was not met) or 3; None while it runs."""
        if self.status == "running":
            return None
        code = self.manifest.get("exit_code")
        if isinstance(code, int):
            return code
        unmet = self.unmet or any(signal.met is False for signal in self.signals)
        return 3 if self.status != "finished" else 1 if unmet or self.faults else 0

    @property
    def faults(self) -> list[str]:
        """Failures of the testbed."""
        return list(self.manifest.get("faults", []))

    @property
    def gaps(self) -> list[str]:
        """What results.csv lacks of the phases that were measured: it was cut off or changed after it was written."""
        rows = {phase: len(found) for phase, found in self._by_phase.items()}
        counted = self.manifest.get("rows", {})
        return [
            f"results.csv has {rows.get(phase, 0):,} of the {count:,} rows of {phase}: this copy is not whole"
            for phase, count in counted.items()
            if rows.get(phase, 0) != count
        ]

    @cached_property
    def results(self) -> list[Result]:
        """A `Result` for each row of results.csv in a complete phase: a run that was killed or is still running may
        have left part of a phase on disk. Raises `BadInput` with the line of an invalid row."""
        whole = self._rows_of_phases()
        return [each for phase, found in self._by_phase.items() if len(found) == whole.get(phase) for each in found]

    @cached_property
    def _by_phase(self) -> dict[str, list[Result]]:
        """Every complete row of results.csv, by phase."""
        by_phase: dict[str, list[Result]] = {}
        for result in self._rows():
            by_phase.setdefault(result.phase, []).append(result)
        return by_phase

    def _rows(self) -> Iterator[Result]:
        """Yields each complete row of results.csv."""
        file = self.path / "results.csv"
        text = "".join(line for _, line in self._lines("results.csv"))
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        columns: list[str] | None = None
        while True:
            try:
                cells = next(reader, None)
                if cells is None:
                    return
                if columns is None:
                    columns = cells
                elif cells:
                    yield Result.model_validate(dict(zip(columns, cells, strict=False)))  # older ones are shorter
            except csv.Error:  # the file ends within quotes
                return
            except ValidationError as error:
                raise BadInput([first_problem(error, str(file), reader.line_num)]) from None

    def _rows_of_phases(self) -> dict[str, int]:
        """Returns the number of rows of each phase that was measured completely."""
        if "rows" in self.manifest:
            return dict(self.manifest["rows"])
        found = {}
        for _, line in self._lines("events.jsonl"):  # of version 0.1
            with suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["event"] == "measured":
                    found[event["phase"]] = event["cells"]
        return found

    @property
    def unmet(self) -> list[Result]:
        """The results that are not as expected, including those without a verdict, except those that `verify` left
        undecided."""
        return [result for result in self.results if not result.met and (result.outcome.is_measured or self._measures)]

    @property
    def _measures(self) -> bool:
        return self.status != "verified"

    @property
    def signals(self) -> list[SignalVerdict]:
        """The verdicts on the expectations about signals abroad, if the run got that far."""
        return [SignalVerdict.model_validate(each) for each in self.manifest.get("signals", ())]

    @property
    def readings(self) -> list[Reading]:
        """The readings of outside signals; empty if the run did not observe. Raises `BadInput`."""
        return read_readings(self.path)

    @cached_property
    def table(self) -> Table:
        """Percent of subscribers who got through, a row per phase; recomputed from results.csv."""
        columns, short = self.manifest.get("columns", ()), self.manifest.get("short_columns")
        return table_of(self.results, columns, short, strict=self._measures)

    @property
    def phases(self) -> list[PhaseInfo]:
        """The phases that have been measured, in order."""
        titles = {phase["phase"]: phase["title"] for phase in self.manifest.get("phases", [])}
        return [PhaseInfo(phase=name, at=at, title=titles.get(name, "")) for name, at in self.table.phases]

    def measurements(self) -> Iterator[dict[str, Any]]:
        """Yields the OONI records of measurements.jsonl (data format 0.2.0), read lazily, including those of an
        incomplete phase. Raises `BadInput` with the line that is not JSON."""
        name = "measurements.jsonl"
        for number, line in self._lines(name):
            try:
                record = json.loads(line)
            except ValueError:
                raise _not_json(self.path / name, number) from None
            yield record

    def events(self) -> Iterator[Event]:
        """Yields the events, in order. Kinds that this version does not know, and those of version 0.1, are skipped.
        Raises `BadInput` with the line that is not JSON."""
        name = "events.jsonl"
        for number, line in self._lines(name):
            try:
                event = decode(line)
            except ValidationError as error:
                if error.errors()[0]["type"] == "json_invalid":
                    raise _not_json(self.path / name, number) from None
                continue
            if event is not None:
                yield event

    def _lines(self, name: str) -> Iterator[tuple[int, str]]:
        """Yields the complete lines of a file with their numbers, from 1: the last line may be half written."""
        file = self.path / name
        number = 0
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.endswith(b"\n"):
                        yield number, line.decode()
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            raise BadInput([Problem(str(file), number, "", "not UTF-8 text", _NOT_A_RUN)]) from None
        except OSError as error:
            raise BadInput([Problem(str(file), 0, "", because(error), _NOT_A_RUN)]) from None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.status})"

    def _repr_html_(self) -> str:
        """Returns the run's report (`shutdownlab.report`), which a notebook shows inline where a cell ends in a run."""
        door = import_module("shutdownlab")  # by name: reports are made in a layer above this one
        shown: str = door.report(self)._repr_html_()
        return shown

    def __str__(self) -> str:
        name = self.manifest.get("scenario", "run")
        return f"{name} in {self.path}: {self.status}, {len(self.results):,} results\n{self.table}"


def _not_json(file: Path, line: int) -> BadInput:
    return BadInput([Problem(str(file), line, "", "not JSON", _NOT_A_RUN)])
