"""Times commands that need no run, from the shell: `--help`, and on the flagship `check`, `verify`, `explain`, `diff`
and `report`; and `import shutdownlab`.

python -m benchmarks.verify [--runs N]
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import shutdownlab
from benchmarks.table import Figure, engine, load, markdown

_NAME: Final = "kazakhstan-2022"
_EXPLAINED: Final = ("explain", _NAME, "--at", "blackout", "--from", "kcell/almaty", "--to", "telegram")


@dataclass(frozen=True, slots=True)
class _Command:
    """A command to time. status: its exit code. target: of the seconds from the shell, in words."""

    what: str
    arguments: Sequence[str]
    target: str
    status: int = 0


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a command took: seconds from the shell, and of a processor; its peak memory in MiB."""

    seconds: float
    processor: float
    memory: float


def _timed(command: _Command) -> _Cost:
    """Raises SystemExit unless the command ends with its status."""
    begun = time.perf_counter()
    argv = [sys.executable, *command.arguments]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, ended, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != command.status:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return _Cost(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _commands(folder: Path) -> Iterator[_Command]:
    """Yields the commands, in an order in which each has what it reads; `folder`: a new one for their files."""
    text, mine = (files("shutdownlab.scenarios") / f"{_NAME}.yaml").read_text(), folder / "mine.yaml"
    mine.write_text(text.replace("ports: [179, 3785, 5060]}\n    source: CF", "ports: [179, 5060]}\n    source: CF"))
    ours, run = ("-m", "shutdownlab"), str(folder / "run")
    yield _Command("import shutdownlab", ("-c", "import shutdownlab"), "≤ 0.15")
    yield _Command("--help", (*ours, "--help"), "≤ 0.25")
    yield _Command(f"check {_NAME}", (*ours, "check", _NAME), "≤ 0.5")
    yield _Command(f"verify {_NAME}", (*ours, "verify", _NAME), "≤ 1")
    yield _Command("diff of two versions of it", (*ours, "diff", _NAME, str(mine)), "≤ 2", 1)
    yield _Command("explain a cell of it", (*ours, *_EXPLAINED), "≤ 1")
    yield _Command("verify it into a run directory", (*ours, "verify", _NAME, "--out", run, "--force"), "")
    yield _Command("report of that", (*ours, "report", run, "-o", str(folder / "page.html")), "≤ 3")


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args(argv).runs
    # As installing does: after an edit, and with PYTHONDONTWRITEBYTECODE, every command would compile what it imports.
    compiled = compileall.compile_dir(Path(shutdownlab.__file__).parent, quiet=2)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for command in _commands(Path(folder)):
            costs = [_timed(command) for _ in range(runs)]
            figures.append(Figure(command.what, "s", [cost.seconds for cost in costs], command.target))
            figures.append(Figure(command.what, "s of one core", [cost.processor for cost in costs]))
            if command.what == f"verify {_NAME}":
                figures.append(Figure(command.what, "MB, peak", [cost.memory for cost in costs], "≤ 150"))
    bytecode = "" if compiled else " Python's bytecode could not be written, so each command compiles what it imports."
    print(markdown("Without a run", figures, f"Load average: {load()}. {engine()}{bytecode}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
