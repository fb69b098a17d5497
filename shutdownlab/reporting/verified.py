"""Formats what `shutdownlab verify` found: for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.signals import signal_lines, signals_as_data, sum_of_signals
from shutdownlab.reporting.summary import MOST_LINES, cited, unmet_lines
from shutdownlab.reporting.table import legend, legible
from shutdownlab.results.result import Result
from shutdownlab.results.table import Table
from shutdownlab.verifier.verify import Verified

if TYPE_CHECKING:
    from shutdownlab.results.run import Run


def print_verified(verified: Verified, console: Console, *, warn: bool = False) -> None:
    """Prints the table, what would not be as expected with its sources, what cannot be decided, and a summary.

    warn: also prints warnings about the policies.
    """
    lines = [f"[red]not as expected:[/red] {literal(line)}" for line in unmet_lines(verified.unmet, verified.because)]
    lines += [literal(f"    [{code}] {source}") for code, source in _cited(verified)]
    lines += [f"[yellow]undecided:[/yellow] {literal(line)}" for line in undecided_lines(verified.undecided)]
    lines += [f"[yellow]warning:[/yellow] {literal(str(each))}" for each in (verified.warnings if warn else ())]
    lines += list(signal_lines(verified.signals, strict=verified.strict))
    lines.append(f"[{'red' if verified.exit_code else 'green'}]{literal(sum_of(verified))}[/]")
    _print(console, verified.table, lines, sampled=verified.holds)


def print_record(run: Run, console: Console) -> None:
    """Prints the same for a run directory that `verify --out` wrote."""
    undecided = [result for result in run.results if not result.outcome.is_measured]
    lines = [f"[red]not as expected:[/red] {literal(line)}" for line in unmet_lines(run.unmet)]
    sources = run.manifest.get("sources", {})
    lines += [literal(f"    [{code}] {source}") for code, source in cited(sources, run.unmet)]
    lines += [f"[yellow]undecided:[/yellow] {literal(line)}" for line in undecided_lines(undecided)]
    lines += list(signal_lines(run.signals))
    bad = run.unmet or any(signal.met is False for signal in run.signals)
    summary = f"{sum_of_results(run.results)} {sum_of_signals(run.signals)}".strip()
    lines.append(f"[{'red' if bad else 'green'}]{literal(summary)}[/]")
    _print(console, run.table, lines, sampled=any(result.held for result in run.results))
    console.print("Nothing was run: this is what `verify` says a run would find.", soft_wrap=True)


def _print(console: Console, table: Table, lines: Sequence[str], *, sampled: bool) -> None:
    console.print("\n[bold]Percent of ordinary subscribers who would get through[/bold], weighted by their number")
    for part in legible(table, console.width):
        console.print()
        console.print(part)
    signs = ["~ some of it throttled", "! an expectation is not met", "? some undecided"]
    signs += ["= held in a sample"] if sampled else []
    console.print(f"[dim]{legend([*signs, '· not measured'], console.width)}[/dim]\n", soft_wrap=True)
    for line in lines:
        console.print(line, soft_wrap=True)


def sum_of(verified: Verified) -> str:
    """Returns how many expectations hold, in a sentence or two."""
    groups, strict = verified.groups, verified.strict
    about_cells = _sum(
        cells=verified.cells,
        unmet=sum(group.cells for group in groups if not group.met and (strict or group.is_decided)),
        undecided=sum(group.cells for group in groups if group.verdict.outcome is Outcome.UNKNOWN),
        expected=sum(group.cells for group in groups if group.expected is not None),
        decided=sum(group.cells for group in groups if group.expected is not None and group.is_decided),
    )
    return f"{about_cells} {sum_of_signals(verified.signals)}".strip()


def sum_of_results(results: Sequence[Result]) -> str:
    """Returns how many expectations hold, for the results in a run directory that `verify --out` wrote."""
    return _sum(
        cells=len(results),
        unmet=sum(not result.met and result.outcome.is_measured for result in results),
        undecided=sum(result.outcome is Outcome.UNKNOWN for result in results),
        expected=sum(result.expected is not None for result in results),
        decided=sum(result.expected is not None and result.outcome.is_measured for result in results),
    )


def _sum(*, cells: int, unmet: int, undecided: int, expected: int, decided: int) -> str:
    rest = f"; {undecided:,} undecided" if undecided else ""
    if unmet:
        return f"{unmet:,} of {cells:,} cells are not as expected{rest}."
    if not expected:
        return f"No expectations; {cells:,} cells{rest}."
    return f"All {decided:,} expectations hold{rest}."


def undecided_lines(results: Sequence[Result]) -> Iterator[str]:
    """Yields a line for each target and what it depends on, with the phases: at most 20, then how many are left out."""
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for result in results:
        groups.setdefault((result.target, result.failure or ""), {})[result.phase] = None
    for (target, what), phases in list(groups.items())[:MOST_LINES]:
        yield f"{target} in {', '.join(phases)}: {what.removeprefix('undecided: ')}"
    if len(groups) > MOST_LINES:
        yield f"and {len(groups) - MOST_LINES} more kinds"


def as_json(verified: Verified, *, warn: bool = False) -> str:
    """Serialises as one JSON object the status, the table, and each cell that is not as expected or cannot be decided.

    warn: includes the warnings about the policies.
    """
    unmet = [result.model_dump(mode="json", by_alias=True) for result in verified.unmet]
    table = [{**row, "time": f"{row['time']:%Y-%m-%dT%H:%MZ}"} for row in verified.table.rows()]
    found: dict[str, object] = {
        "scenario": verified.shutdown.scenario.name,
        "status": verified.status,
        "exit_code": verified.exit_code,
        "cells": verified.cells,
        "choices": dict(verified.choices),
        "table": table,
        "unmet": unmet,
        "undecided": [result.model_dump(mode="json", by_alias=True) for result in verified.undecided],
        "signals": signals_as_data(verified.signals),
    }
    if warn:
        found["warnings"] = [{"place": each.place, "text": each.text} for each in verified.warnings]
    return json.dumps(found, indent=2)


def _cited(verified: Verified) -> Iterator[tuple[str, str]]:
    return cited(verified.shutdown.scenario.sources, verified.unmet)
