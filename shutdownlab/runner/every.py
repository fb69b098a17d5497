"""Runs several scenarios, some of them concurrently, and yields each as it ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shutdownlab.results.run import Run
from shutdownlab.runner import launch
from shutdownlab.runner.launch import RunFailed


@dataclass(frozen=True, slots=True)
class Ended:
    """One scenario's run. failed: set if it did not finish; `run` then holds its partial results."""

    scenario: str
    run: Run
    seconds: float
    exit_code: int
    failed: RunFailed | None = None

    @property
    def text(self) -> str:
        """A one-line summary."""
        results = self.run.results
        expected = sum(result.expected is not None for result in results)
        summary = f"{len(results):,} cells, {expected - len(self.run.unmet):,} of {expected:,} expectations met"
        held = sum(bool(result.held) for result in results)
        summary += f", {held:,} held" if held else ""
        return summary if self.failed is None else f"{self.run.status}: {summary}"


def run_every(scenarios: Sequence[str], out: Path | None, jobs: int, **options: Any) -> Iterator[Ended]:
    """Runs the scenarios, at most `jobs` at a time; yields each when it has ended.

    out: a directory in which each run gets a directory of the scenario's name (None: as `launch.run` does). options:
    further arguments of `launch.run`. Raises what that raises, except `RunFailed`, which is in `Ended.failed`.
    """

    def one(name: str) -> Ended:
        began = time.monotonic()
        try:
            found = launch.run(name, out / Path(name).stem if out is not None else None, **options)
        except RunFailed as failed:
            return Ended(name, failed.run, time.monotonic() - began, failed.exit_code, failed)
        return Ended(name, found, time.monotonic() - began, found.exit_code or 0)

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(one, name) for name in scenarios]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            for each in waiting:
                each.cancel()
