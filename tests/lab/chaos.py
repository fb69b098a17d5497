"""Puts faults into a running scenario and counts the results that would mislead: `make chaos`, or by hand

    python tests/lab/chaos.py --faults 200 --seed 1 [--jobs 1] [--scenario SCENARIO]

Each run suffers one fault: a process of the emulated country, drawn at random, is killed, or stopped for some seconds
or to the end, or the links of its node are cut, some time after a phase's order was confirmed. A row whose verdict
differs from that of a run without faults is false. There must be none.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import invocation
import outside

from shutdownlab.results.run import Run

VERDICTS = {"ok", "blocked", "throttled"}
ACTIONS = ("kill", "stop 1 s", "stop 4 s", "stop 12 s", "stop", "cut")
"""What is done to a process; `cut`: to the links of the node where it is, which no process notices."""
LONGEST_S = 900.0
"""A run with a fault, on a machine that has other work too."""
IGNORED = {"lab-gate", "lab-init", "lab-worker", "python", "python3", "sh", "shutdownlab"}
"""What is no part of the emulated country: killed, the run says so itself."""


@dataclass(frozen=True)
class Fault:
    """What is done to which process, how long after the order of which phase was confirmed."""

    process: str
    nth: float
    action: str
    phase: str
    after_s: float

    def __str__(self) -> str:
        return f"{self.action} {self.process} {self.after_s:.1f} s into {self.phase}"


@dataclass(frozen=True)
class Outcome:
    """What a fault did. `false`: rows that mislead; `unknown`: rows without a verdict; `said`: faults told."""

    fault: Fault
    false: tuple[str, ...]
    unknown: int
    said: int
    code: int
    seconds: float


def rows(path: Path) -> dict[tuple[str, ...], str]:
    """The outcome of each cell."""
    with (path / "results.csv").open(newline="") as file:
        keys = ("phase", "operator", "region", "subscriber", "target", "family")
        return {tuple(row[key] for key in keys): row["outcome"] for row in csv.DictReader(file)}


def processes(root: int) -> dict[str, list[int]]:
    """The processes of a run that belong to the country, by short name."""
    found: dict[str, list[int]] = {}
    for pid in outside.descendants(root):
        name = outside.names(pid)
        if name and name not in IGNORED:
            found.setdefault(name, []).append(pid)
    return found


def suffer(place: Path, scenario: str, fault: Fault, reference: dict[tuple[str, ...], str]) -> Outcome:
    """One run with one fault."""
    begun = time.monotonic()
    with invocation.under_way(place, scenario) as (process, record):
        invocation.wait_for_event(process, record, "confirmed", fault.phase, LONGEST_S)
        time.sleep(fault.after_s)
        there = processes(process.pid)
        victims = there.get(fault.process) or [pid for pids in there.values() for pid in pids]
        if victims:
            victim = victims[int(fault.nth * len(victims))]
            if fault.action == "cut":
                outside.cut_off(victim)
            else:
                strike(victim, fault.action)
        process.communicate(timeout=LONGEST_S)
        code = process.returncode
    found = rows(place / "run")
    false = tuple(
        f"{' '.join(cell)}: {seen}, not {reference[cell]}"
        for cell, seen in found.items()
        if seen in VERDICTS and seen != reference[cell]
    )
    unknown = sum(seen not in VERDICTS for seen in found.values()) + len(reference) - len(found)
    said = len(Run.open(place / "run").faults)
    return Outcome(fault, false, unknown, said, code, time.monotonic() - begun)


def strike(pid: int, action: str) -> None:
    """Do it to a process; gone already is fine."""
    verb, _, rest = action.partition(" ")
    try:
        os.kill(pid, signal.SIGKILL if verb == "kill" else signal.SIGSTOP)
        if rest:
            time.sleep(float(rest.split()[0]))
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def main() -> int:
    """The command line; 1 where any row was false."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--scenario", default="first-shutdown")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        place = Path(scratch) / "reference"
        place.mkdir()
        names: Counter[str] = Counter()
        with invocation.under_way(place, options.scenario) as (process, record):
            phases = []
            invocation.wait_for_event(process, record, "built", "", LONGEST_S)
            names.update({name: len(pids) for name, pids in processes(process.pid).items()})
            process.communicate(timeout=LONGEST_S)
            phases = [event["phase"] for event in record.events_of("confirmed")]
        if process.returncode:
            print(f"the run without a fault ended with {process.returncode}; see {record.path}", file=sys.stderr)
            return 2
        reference = rows(place / "run")
        faults = [
            Fault(rng.choice(sorted(names)), rng.random(), rng.choice(ACTIONS), rng.choice(phases), rng.uniform(0, 3))
            for _ in range(options.faults)
        ]

        def one(numbered: tuple[int, Fault]) -> Outcome:
            own = Path(scratch) / str(numbered[0])
            own.mkdir()
            outcome = suffer(own, options.scenario, numbered[1], reference)
            print(
                f"{len(outcome.false):4} false {outcome.unknown:4} unknown {outcome.said:3} said  exit {outcome.code}  "
                f"{outcome.seconds:5.1f} s  {outcome.fault}",
                *outcome.false,
                sep="\n     ",
                flush=True,
            )
            return outcome

        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(one, enumerate(faults)))
    false = sum(len(outcome.false) for outcome in outcomes)
    silent = sum(outcome.unknown > 0 and not outcome.said for outcome in outcomes)
    print(f"{len(outcomes)} faults, {len(reference)} rows each: {false} false rows; {silent} left rows unknown unsaid")
    return 1 if false or silent else 0


if __name__ == "__main__":
    sys.exit(main())
