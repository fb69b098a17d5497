"""Times commands that need no run, from the shell: `--help`, and on the flagship `check`, `verify`, `explain`, `diff`.

python -m benchmarks.verify [--runs N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from benchmarks.table import Figure, engine, load, markdown

_NAME: Final = "kazakhstan-2022"
_EXPLAINED: Final = ("explain", _NAME, "--at", "blackout", "--from", "kcell/almaty", "--to", "telegram")


def _timed(arguments: Sequence[str], status: int = 0) -> tuple[float, float]:
    """Returns wall-clock seconds and peak memory (MiB) of a command; raises SystemExit unless it ends with `status`."""
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "shutdownlab", *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, ended, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return time.perf_counter() - begun, used.ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verify", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs: int = parser.parse_args(argv).runs
    text = (files("shutdownlab.scenarios") / f"{_NAME}.yaml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        mine = Path(folder) / "mine.yaml"
        mine.write_text(
            text.replace("ports: [179, 3785, 5060]}\n    source: CF", "ports: [179, 5060]}\n    source: CF")
        )
        verified = [_timed(("verify", _NAME)) for _ in range(runs)]
        differ = [_timed(("diff", _NAME, str(mine)), 1) for _ in range(runs)]
    explained = [_timed(_EXPLAINED) for _ in range(runs)]
    helped = [_timed(("--help",)) for _ in range(runs)]
    checked = [_timed(("check", _NAME)) for _ in range(runs)]
    figures = [
        Figure("--help", "s", [seconds for seconds, _ in helped], "≤ 0.25"),
        Figure(f"check {_NAME}", "s", [seconds for seconds, _ in checked], "≤ 0.5"),
        Figure(f"verify {_NAME}", "s", [seconds for seconds, _ in verified], "≤ 1"),
        Figure(f"verify {_NAME}", "MB, peak", [memory for _, memory in verified], "≤ 150"),
        Figure("diff of two versions of it", "s", [seconds for seconds, _ in differ], "≤ 2"),
        Figure("explain a cell of it", "s", [seconds for seconds, _ in explained], "≤ 1"),
    ]
    print(markdown("Without a run", figures, f"Load average: {load()}. {engine()}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
