"""Puts faults into a running scenario and counts the results that would mislead: `make chaos`, or by hand

    python -m tests.chaos --faults 200 --seed 1 [--hours 8] [--jobs 1] [--scenario SCENARIO] [--out DIR]

Each run suffers one fault: something happens to a process of the emulated country, drawn at random, or to its node,
some time after a phase's order was confirmed: it is killed, stopped, starved, its links are cut (see `harm`). A row
whose verdict differs from that of a run without faults is false. There must be none, and no process of a run may
outlive it. With the same --out DIR, what has been suffered already is counted, and not suffered again. After --hours
no other fault is begun. Ctrl-C, SIGTERM and SIGHUP end it with its run, which is not counted.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock
from types import FrameType

sys.path.insert(0, str(Path(__file__).with_name("lab")))

import harm
import invocation
import outside

from shutdownlab.results.run import Run

VERDICTS = {"ok", "blocked", "throttled"}
ACTIONS = (
    *("kill", "stop 1 s", "stop 4 s", "stop 12 s", "stop", "stutter 6 s", "cut", "starve 8 s", "freeze 1.5 s"),
    *("freeze 4 s", "freeze 12 s", "pause 5 s", "descriptors", "few 3 descriptors", "memory", "mtu", "neighbours"),
    *(
        "flows",
        "hangup",
        "policies",
        "poison",
        "lie",
        "deny",
        "firewall",
        "xtables",
        "reroute",
        "deaf",
        "flap",
        "lossy",
    ),
)
"""What is done to a process (see `harm`)."""
LONGEST_S = 900.0
"""A run with a fault, on a machine that has other work too."""
ENDLESS = -1000
"""In place of the exit code of a run that does not end."""
LEAVING_S = 30.0
"""What the kernel may take to end what was in a run's namespaces."""
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
    """What a fault did. `false`: rows that mislead; `unknown`: rows without a verdict; `said`: faults told; `left`:
    processes that outlived the run; `code`: it ended with, `ENDLESS` where it did not end."""

    fault: Fault
    false: tuple[str, ...]
    unknown: int
    said: int
    left: int
    code: int
    seconds: float

    def __str__(self) -> str:
        ended = "no end" if self.code == ENDLESS else f"exit {self.code}"
        told = (
            f"{len(self.false):4} false {self.unknown:4} unknown {self.said:3} said {self.left:2} left behind  "
            f"{ended}  {self.seconds:5.1f} s  {self.fault}"
        )
        return "\n     ".join((told, *self.false))


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
            harm.harm(process.pid, victim, fault.action)
        spaces = outside.namespaces(outside.descendants(process.pid))
        code = _end_of(process)
    left = _left_behind(spaces)
    found = rows(place / "run")
    false = tuple(
        f"{' '.join(cell)}: {seen}, not {reference[cell]}"
        for cell, seen in found.items()
        if seen in VERDICTS and seen != reference[cell]
    )
    unknown = sum(seen not in VERDICTS for seen in found.values()) + len(reference) - len(found)
    said = len(Run.open(place / "run").faults)
    return Outcome(fault, false, unknown, said, left, code, time.monotonic() - begun)


def _end_of(process: subprocess.Popen[str]) -> int:
    """The exit code of a run, `ENDLESS` where it goes on for as long as no run does."""
    try:
        process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return ENDLESS
    return process.returncode


def _left_behind(spaces: outside.Namespaces) -> int:
    """How many processes are still in a run's namespaces some time after it has ended."""
    end = time.monotonic() + LEAVING_S
    while (left := outside.in_namespaces(spaces)) and time.monotonic() < end:
        time.sleep(0.1)
    return len(left)


def main() -> int:
    """The command line; 1 where any row was false or unknown unsaid, anything was left, or a run did not end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=math.inf, help="begin no fault after so many hours")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--action", choices=ACTIONS, action="append", help="only this; again for more")
    parser.add_argument("--scenario", default="first-shutdown")
    parser.add_argument("--out", type=Path, help="where the runs and what came of them are kept")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    out = options.out or Path(tempfile.mkdtemp(prefix="chaos-"))
    country = reference_of(out / "reference", options.scenario)
    if country is None:
        return 2
    names, phases, reference = country
    rng = random.Random(options.seed)
    faults = [
        Fault(
            rng.choice(names),
            rng.random(),
            rng.choice(options.action or ACTIONS),
            rng.choice(phases),
            rng.uniform(0, 3),
        )
        for _ in range(options.faults)
    ]
    record = out / f"suffered-{options.seed}.jsonl"
    suffered = {outcome.fault: outcome for outcome in _suffered(record)}
    lock, ended = Lock(), Event()
    ends = time.monotonic() + 3600 * options.hours

    def one(numbered: tuple[int, Fault]) -> Outcome | None:
        number, fault = numbered
        if fault in suffered or time.monotonic() > ends or ended.is_set():
            return suffered.get(fault)
        own = out / f"{options.seed}-{number}"
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        outcome = suffer(own, options.scenario, fault, reference)
        with lock, record.open("a") as file:
            if ended.is_set():  # the run was killed by us
                return None
            file.write(json.dumps(asdict(outcome)) + "\n")
            print(outcome, flush=True)
        return outcome

    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            outcomes = [outcome for outcome in pool.map(one, enumerate(faults)) if outcome is not None]
        except BaseException:
            with lock:
                ended.set()
            _kill_runs()
            raise
    false = sum(len(outcome.false) for outcome in outcomes)
    silent = sum(outcome.unknown > 0 and not outcome.said for outcome in outcomes)
    left = sum(outcome.left > 0 for outcome in outcomes)
    endless = sum(outcome.code == ENDLESS for outcome in outcomes)
    print(
        f"{len(outcomes)} faults, {len(reference)} rows each: {false} false rows; {silent} left rows unknown unsaid; "
        f"{left} left processes behind; {endless} did not end; {out}"
    )
    return 1 if false or silent or left or endless else 0


def reference_of(place: Path, scenario: str) -> tuple[list[str], list[str], dict[tuple[str, ...], str]] | None:
    """What a run without a fault has: the short names of its processes, its phases, its rows; None where it fails.

    The one that is in this place, if there is one.
    """
    known = place / "processes.json"
    if not known.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        with invocation.under_way(place, scenario) as (process, record):
            invocation.wait_for_event(process, record, "built", "", LONGEST_S)
            names = sorted(processes(process.pid))
            process.communicate(timeout=LONGEST_S)
        if process.returncode:
            print(f"the run without a fault ended with {process.returncode}; see {record.path}", file=sys.stderr)
            return None
        known.write_text(json.dumps(names))
    phases = [event["phase"] for event in invocation.Record(place / "run").events_of("confirmed")]
    return json.loads(known.read_text()), phases, rows(place / "run")


def _end(number: int, _: FrameType | None) -> None:
    """Ends the program on a signal, by an exception that passes through whatever has something to undo."""
    sys.exit(128 + number)


def _kill_runs() -> None:
    """Kills all runs under way, the outermost processes first."""
    for pid in outside.descendants(os.getpid())[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _suffered(record: Path) -> Iterator[Outcome]:
    """What is written down of earlier faults."""
    for line in record.read_text().splitlines() if record.exists() else ():
        told = json.loads(line)
        yield Outcome(**told | {"fault": Fault(**told["fault"]), "false": tuple(told["false"])})


if __name__ == "__main__":
    sys.exit(main())
