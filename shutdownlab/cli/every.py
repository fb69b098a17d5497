"""`run --all` and `verify --all`: every shipped scenario, with one line for each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from shutdownlab.cli.program import bad_option
from shutdownlab.reporting.literal import literal

_ASKED = "a scenario or --all, not both"


def one_or_all(scenario: str | None, *, everything: bool, **beside: object) -> None:
    """Refuses a scenario with --all, neither of them, and options about one scenario (`beside`) with --all."""
    if everything and scenario is not None:
        bad_option("--all", f"{scenario} as well", _ASKED)
    if not everything and scenario is None:
        bad_option("SCENARIO", "none", "a scenario, or --all", "`shutdownlab list` lists the scenarios")
    for name, given in beside.items():
        if everything and given:
            bad_option(f"--{name.replace('_', '-')}", "it together with --all", "this option with one scenario")


def run_all(out: Path | None, jobs: int, **options: Any) -> int:
    """Runs all shipped scenarios; returns the highest of their exit codes."""
    from shutdownlab.library import shipped
    from shutdownlab.runner.every import run_every

    names = [name for name, _ in shipped("scenarios")]
    console, worst, began = Console(highlight=False), 0, time.monotonic()
    console.print(f"{len(names)} scenarios, {jobs} at a time; one line when each ends", style="dim", soft_wrap=True)
    for ended in run_every(names, out, jobs, **options):
        worst = max(worst, ended.exit_code)
        _say(console, names, ended.scenario, ended.text, ended.seconds, ended.exit_code, str(ended.run.path))
    console.print(f"{len(names)} scenarios in {time.monotonic() - began:.0f} s")
    return worst


def verify_all(*, strict: bool, sample: float | None = None) -> int:
    """Verifies all shipped scenarios; returns the highest of their exit codes."""
    from shutdownlab.library import shipped
    from shutdownlab.verifier import verify as model

    names = [name for name, _ in shipped("scenarios")]
    console, worst, began = Console(highlight=False), 0, time.monotonic()
    for name in names:
        start = time.monotonic()
        found = model.verify(name, strict=strict, sample=sample)
        expected = [group for group in found.groups if group.expected is not None]
        hold, of = (sum(group.cells for group in groups) for groups in ([g for g in expected if g.met], expected))
        text = f"{found.cells:,} cells, {hold:,} of {of:,} expectations hold"
        text += f", {len(found.undecided)} cells undecided" if found.undecided else ""
        held = sum(each.met is True for each in found.signals)
        text += f", {held} of {len(found.signals)} about signals" if found.signals else ""
        worst = max(worst, found.exit_code)
        _say(console, names, name, text, time.monotonic() - start, found.exit_code)
    console.print(f"{len(names)} scenarios in {time.monotonic() - began:.1f} s")
    return worst


def _say(console: Console, names: list[str], name: str, text: str, seconds: float, code: int, where: str = "") -> None:
    mark = "[green]ok[/green]" if code == 0 else f"[red]{code}[/red] "
    width = max(map(len, names))
    place = f"  {literal(where)}" if where else ""
    console.print(f"{mark}  {name:<{width}} {seconds:>6.1f} s  {text}{place}", soft_wrap=True)


def jobs_of(given: int | None) -> int:
    """Returns the number of concurrent runs, one unless another is given; refuses fewer than one."""
    if given is not None and given < 1:
        bad_option("--jobs", str(given), "1 or more")
    return given or 1
