"""Runs a whole scenario, build to exit: wall time, time to build the country, peak memory, and whether runs agree.

    python -m benchmarks.scenario [NAME] [--repeat 3] [--side-by-side] [--keep DIR]

Memory is the sum of the proportional set sizes (PSS) of all processes of the run, including the command itself. It is
sampled every few seconds, so that sampling does not slow the run down.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.table import Figure, engine, load, markdown
from shutdownlab.system.syscalls import die_with_parent

_COMMAND: Final = (sys.executable, "-P", "-c", "from shutdownlab.cli import main; main()")
_LOOK_S: Final = 0.1
_SAMPLE_S: Final = 4.0
_LIMIT_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Played:
    """Figures of one run. `memory`: the highest sum of PSS, bytes. `outcomes`: by all columns that identify a row."""

    status: int
    seconds: float
    build: float
    memory: int
    outcomes: dict[tuple[str, ...], str]
    unmet: int
    faults: int
    load: str


def descendants(root: int) -> Iterator[int]:
    """Yields a process and all its descendants, in any namespaces."""
    children = defaultdict[int, list[int]](list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                children[int(after_name[1])].append(int(entry.name))
    todo = [root]
    while todo:
        pid = todo.pop()
        yield pid
        todo += children[pid]


def pss(pid: int) -> int:
    """Returns a process's proportional set size in bytes; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def outcomes(path: Path) -> dict[tuple[str, ...], str]:
    """Returns the outcomes in a `results.csv`, by phase, operator, region, subscriber, target and family."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ("phase", "operator", "region", "subscriber", "target", "family")
    return {tuple(row[key] for key in keys): row["outcome"] for row in rows}


class Playing:
    """A run in progress."""

    def __init__(self, name: str, directory: Path) -> None:
        self.directory = directory
        self.peak = 0
        self._began = time.monotonic()
        self._ended = 0.0
        self._sample_at = self._began + _SAMPLE_S
        self._load = load()
        with (directory.parent / f"{directory.name}.txt").open("wb") as told:
            argv = [*_COMMAND, "run", name, "--out", str(directory)]
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,  # a stopped benchmark must leave no run behind
            )

    def over(self) -> bool:
        if self._ended:
            return True
        try:
            self.process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now >= self._sample_at:
                self.peak = max(self.peak, sum(pss(pid) for pid in descendants(self.process.pid)))
                self._sample_at = now + _SAMPLE_S
            if now - self._began > _LIMIT_S:
                self.process.terminate()
            return False
        self._ended = time.monotonic()
        return True

    def result(self) -> Played:
        """Returns the figures of a finished run; raises OSError, with the run's output, if it left no results."""
        try:
            manifest = json.loads((self.directory / "manifest.json").read_text())
            found = outcomes(self.directory / "results.csv")
            steps = manifest["emulation"]["build_seconds"]
        except (OSError, TypeError, KeyError) as problem:
            told = (self.directory.parent / f"{self.directory.name}.txt").read_text(errors="replace")
            raise OSError(f"the run ended with status {self.process.returncode}:\n{told[-2000:]}") from problem
        return Played(
            status=self.process.returncode,
            seconds=self._ended - self._began,
            build=sum(steps.values()),
            memory=self.peak,
            outcomes=found,
            unmet=manifest["unmet"],
            faults=len(manifest["faults"]),
            load=self._load,
        )


def play(name: str, directories: Sequence[Path]) -> list[Played]:
    """Runs a scenario once per directory, all concurrently."""
    under_way = [Playing(name, directory) for directory in directories]
    left = under_way
    while left := [each for each in left if not each.over()]:
        pass
    return [each.result() for each in under_way]


def _figures(label: str, runs: Sequence[Played], strict: bool) -> Iterator[Figure]:
    # Targets apply to a run that has the machine to itself.
    yield Figure(label, "s, build to exit", [run.seconds for run in runs], "≤ 60 s" if strict else "")
    yield Figure(label, "s to build the country", [run.build for run in runs], "≤ 6 s" if strict else "")
    yield Figure(label, "MB at the peak (PSS)", [run.memory / 1e6 for run in runs], "≤ 1,500 MB" if strict else "")


def _agreement(reference: Played, runs: Sequence[Played]) -> Iterator[int]:
    """Yields, for each run, how many outcomes differ from the reference's, counting rows that only one of them has."""
    for run in runs:
        rows = reference.outcomes.keys() | run.outcomes.keys()
        yield sum(reference.outcomes.get(row) != run.outcomes.get(row) for row in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0, or 1 if a run failed or outcomes differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scenario", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="kazakhstan-2022")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="runs one after the other (default 3)")
    parser.add_argument("--side-by-side", action="store_true", help="then two at once")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the run directories there")
    options = parser.parse_args(argv)
    place = options.keep or Path(tempfile.mkdtemp(prefix="shutdownlab-benchmark-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        alone = []
        for number in range(1, options.repeat + 1):
            (run,) = play(options.name, [place / f"{number}"])
            alone.append(run)
            print(f"{options.name} {number}: {run.seconds:.1f} s, status {run.status}", file=sys.stderr)
        pair = play(options.name, [place / "left", place / "right"]) if options.side_by_side else []
    except OSError as problem:
        print(problem, file=sys.stderr)
        return 1
    finally:
        if options.keep is None:
            shutil.rmtree(place, ignore_errors=True)
    runs = [*alone, *pair]
    differing = list(_agreement(runs[0], runs))
    figures = [*_figures(options.name, alone, True)] if alone else []
    if pair:
        figures += _figures("two at once, each", pair, False)
    figures.append(Figure("outcomes unlike the first run's", f"of {len(runs[0].outcomes)}", differing, "0"))
    figures.append(Figure("expectations not met", "rows", [run.unmet for run in runs], "0"))
    figures.append(Figure("faults", "of processes", [run.faults for run in runs], "0"))
    loads = ", ".join(run.load for run in runs)
    print(markdown(f"Scenario {options.name}", figures, f"Load average before each run: {loads}. {engine()}"))
    return int(any(differing) or any(run.status for run in runs))


if __name__ == "__main__":
    sys.exit(main())
