"""The figures of the README's performance table, each benchmark a Markdown table.

    python -m benchmarks [build|countries|scenario|border|box|inspection|kinds|catalogue|verify|classes|judging
        |steering|viewers]...

Without names, runs all of them, in some ten minutes. Most also take options: `python -m benchmarks.border -h`.
A benchmark that this machine cannot run, or that fails, is reported, and the others continue.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import border, box, classes, countries, kinds, scenario, verify
from benchmarks.table import Figure, engine, load, markdown

_HERE: Final = Path(__file__).parent
_LIMIT_S: Final = 900
_BUILDS: Final = 2
_RATE: Final = re.compile(r"^  (?P<tool>\S.*?) +(?P<rate>[\d,]+) packets/s")


class FailedError(Exception):
    """A script failed, with exit code `status`."""

    def __init__(self, script: str, status: int) -> None:
        super().__init__(f"{script}.py ended with status {status}")
        self.status = status


def _printed(script: str, *arguments: str) -> str:
    """Runs a benchmark that is a separate script; returns its standard output."""
    argv = [sys.executable, str(_HERE / f"{script}.py"), *arguments]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False, timeout=_LIMIT_S)
    if done.returncode:
        raise FailedError(script, done.returncode)
    return done.stdout


def build() -> int:
    """Builds and stops 300 hosts, against Mininet's own."""
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(_BUILDS):
        found: dict[str, Any] = json.loads(_printed("build", "--json"))
        for which in ("shutdownlab", "mininet"):
            seen[which].append(sum(found[which].values()))
        seen["ratio"].append(found["ratio"])
    figures = [
        Figure("shutdownlab", "s, build + stop of 300 hosts", seen["shutdownlab"]),
        Figure("Mininet's own", "s, build + stop of 300 hosts", seen["mininet"]),
        Figure("ratio", "times as fast", seen["ratio"], "≥ 8"),
    ]
    print(markdown("Building 300 hosts on 6 switches", figures, f"Load average: {load()}."))
    return 0


def inspection() -> int:
    """Measures packets per second on captures, side by side with other tools."""
    figures: list[Figure] = []
    capture, ours = "", 0.0
    for line in _printed("inspection").splitlines():
        found = _RATE.match(line)
        if found is None:
            capture, ours = (line, 0.0) if not line.startswith(" ") else (capture, ours)
            continue
        rate = float(found["rate"].replace(",", ""))
        first = not ours
        ours = ours or rate
        target = "≥ 250,000" if first else ""
        figures.append(Figure(f"{found['tool']}: {capture}", "packets/s, best of 3", [rate], target))
        if not first:
            figures.append(Figure(f"shutdownlab to {found['tool']}: {capture}", "ratio", [ours / rate]))
    print(markdown("Captures, one core", figures, f"Load average: {load()}. {engine()}"))
    return 0


def catalogue() -> int:
    """Measures large lists: time to load them, memory, speed of look-ups."""
    found: dict[str, float] = json.loads(_printed("catalogue"))
    figures = [
        Figure(f"{found[f'{kind}_{size}']:,.0f} {kind}", unit, [found[f"{kind}_{size}_{key}"]])
        for kind in ("suffixes", "prefixes")
        for size in ("1k", "all")
        for key, unit in (("bytes_each", "bytes an entry"), ("per_s", "look-ups/s"))
    ]
    figures += [
        Figure(what, "s of a processor, a million entries", [seconds], "≤ 2")
        for what, seconds in found.items()
        if what.endswith((" read", " loaded"))
    ]
    print(markdown("Large lists", figures, f"Load average: {load()}."))
    return 0


def judging() -> int:
    """Measures OONI measurements judged per second."""
    found: dict[str, float] = json.loads(_printed("judging"))
    figures = [
        Figure("websites of 20 KB", "measurements/s of processor time", [found["per_s"]], "≥ 2,000"),
        Figure("the same", "MB/s of processor time", [found["mb_per_s"]], "≥ 60"),
    ]
    print(markdown("OONI's verdicts, one core", figures, f"Load average: {load()}."))
    return 0


def _with_a_page(name: str) -> int:
    """Runs a benchmark that imports the packages that serve pages, which may not be installed."""
    module = importlib.import_module(f"benchmarks.{name}")
    return int(module.main([]))


BENCHMARKS: Final[dict[str, Callable[[], int]]] = {
    "build": build,
    "countries": lambda: countries.run([5, 10, 20, 40, 80], 4),
    "scenario": lambda: scenario.main([]),
    "border": lambda: border.main([]),
    "box": lambda: box.main([]),
    "inspection": inspection,
    "kinds": lambda: kinds.run(200_000, 3, None),
    "catalogue": catalogue,
    "verify": lambda: verify.main([]),
    "classes": lambda: classes.main([]),
    "judging": judging,
    "steering": partial(_with_a_page, "steering"),
    "viewers": partial(_with_a_page, "viewers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the named benchmarks or all; returns 0 if all succeeded, otherwise the highest of their exit codes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    # Not `choices`: argparse would check the empty list against them.
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    names = parser.parse_args(argv).name or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]!r}: one of {', '.join(BENCHMARKS)}")
    worst = 0
    for name in names:
        print(f"{name} …", file=sys.stderr)
        try:
            status = BENCHMARKS[name]()
        except FailedError as problem:
            print(problem, file=sys.stderr)
            status = problem.status
        except subprocess.TimeoutExpired:
            print(f"{name} did not end within {_LIMIT_S} s", file=sys.stderr)
            status = 1
        if status:
            print(f"{name} ended with status {status}", file=sys.stderr)
        sys.stdout.flush()
        worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main())
