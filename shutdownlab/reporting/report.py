"""Reports on a run for the terminal. Each is registered in the entry point group `shutdownlab.reports`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import ClassVar

from rich.console import Console

from shutdownlab.config.extensions import Extensions
from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.signals import signal_lines, sum_of_signals
from shutdownlab.reporting.summary import cited, each_once, unmet_lines, verdict_line
from shutdownlab.reporting.table import legend, legible
from shutdownlab.results.result import THE_MODEL, Result
from shutdownlab.results.run import Run
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.results.table import Table

_ENDED = {"killed": "was killed", "interrupted": "was interrupted", "broken": "broke off", "crashed": "broke off"}


class Report(ABC):
    """Base class of reports. A class is registered under the name by which users request it.

    title: what the report shows, for the list of reports.
    """

    title: ClassVar[str]

    @abstractmethod
    def write(self, run: Run, console: Console) -> None:
        """Prints the report of a run of any status; raises `BadInput` if its directory cannot be read."""


@cache
def installed_reports() -> Extensions[Report]:
    """Returns all reports by name: those that ship, and those of installed plugins."""
    return Extensions("shutdownlab.reports", Report)  # type: ignore[type-abstract]


class TableReport(Report):
    """The report `table`: the table that a run prints at its end, and what was not as expected."""

    title = "percent of subscribers who got through, a row per phase, and what was not as expected"

    def write(self, run: Run, console: Console) -> None:
        """Prints the report."""
        if run.status == "verified":
            from shutdownlab.reporting.verified import print_record

            print_record(run, console)
            return
        faults = [*run.faults, *run.gaps]
        print_story(console, run.table, run.results, run.manifest.get("sources", {}), faults, run.signals)
        if run.status == "running":
            console.print("The run goes on; this is what it has measured so far.", soft_wrap=True)
        elif run.status != "finished":
            ended = _ENDED.get(run.status, f"is {run.status}")
            goes_on = f"`shutdownlab resume {run.path}` goes on with it"
            console.print(literal(f"The run {ended}; this is what it had measured by then. {goes_on}."), soft_wrap=True)


def _fault_lines(faults: Sequence[str]) -> list[str]:
    return [f"[red]went wrong:[/red] {literal(fault)}" for fault in each_once(faults)]


def print_story(
    console: Console,
    table: Table,
    results: Sequence[Result],
    sources: Mapping[str, str],
    faults: Sequence[str],
    signals: Sequence[SignalVerdict] = (),
) -> None:
    """Prints the table of a run, what was not as expected with its sources, what went wrong, and a summary.

    If the run measured only what has changed, phases in which it measured nothing are left out.
    """
    if not results:
        console.print("\nNo phase was measured to its end.")
        for line in (*_fault_lines(faults), *signal_lines(signals)):
            console.print(line, soft_wrap=True)
        return
    measured = {result.phase for result in results if result.held != THE_MODEL}
    table = replace(table, phases=tuple(phase for phase in table.phases if phase[0] in measured or not measured))
    console.print("\n[bold]Percent of ordinary subscribers who got through[/bold], weighted by their number")
    for part in legible(table, console.width):
        console.print()
        console.print(part)
    signs = ["~ some of it throttled", "! an expectation was not met"]
    signs += ["? some without a verdict"] if any(not result.outcome.is_measured for result in results) else []
    signs += ["= some of it held, not measured in this phase"] if any(result.held for result in results) else []
    lines = [f"[dim]{legend([*signs, '· not measured'], console.width)}[/dim]\n"]
    lines += [f"[red]not as expected:[/red] {literal(line)}" for line in unmet_lines(results)]
    lines += [literal(f"    [{code}] {source}") for code, source in cited(sources, results)]
    lines += _fault_lines(faults)
    lines += signal_lines(signals)
    met = all(result.met for result in results) and all(signal.met is not False for signal in signals)
    lines.append(
        f"[{'green' if met else 'red'}]{f'{verdict_line(results, faults)} {sum_of_signals(signals)}'.strip()}[/]"
    )
    for line in lines:
        console.print(line, soft_wrap=True)
