"""What a run tells its user as it goes, and the story at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from shutdownlab.model.scenario import Expectation, Outcome, Phase, Scenario
from shutdownlab.model.topology import Topology
from shutdownlab.network.datapath import Choice
from shutdownlab.reporting.summary import cited, unmet_lines, verdict_line
from shutdownlab.reporting.table import tables
from shutdownlab.results.directory import Result
from shutdownlab.runner import run

_FILES = "results.csv, measurements.jsonl (OONI), events.jsonl, manifest.json, logs/"
_LEAST_WIDTH = 60


class Progress:
    """Speaks to standard output: a live line on a terminal, a line a phase everywhere."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._step = ""
        self._done = self._cells = 0
        self._name_width = max(len(phase.phase) for phase in scenario.timeline)
        self._told_heading = False

    def begin(self, topology: Topology) -> None:
        scenario = self._scenario
        operators = ", ".join(operator.title.split(" (")[0] for operator in topology.operators.values())
        self._console.print(f"[bold]{escape(scenario.title)}[/bold]: {escape(operators)}", soft_wrap=True)

    def built(self, datapath: Choice) -> None:
        """What the country was built with, where this machine leaves a choice."""
        text = f"Open vSwitch's {datapath.name} datapath: {datapath.why}"
        self._console.print(text, style="dim", soft_wrap=True, markup=False)

    def step(self, text: str) -> None:
        """What is under way now."""
        self._step = text
        self._show(f"{text} …")

    def waiting(self, phase: Phase, seconds: float) -> None:
        self._show(f"{seconds:.0f} s until {phase.phase} ({phase.at:%d %b %H:%M} UTC)")

    def measuring(self, phase: Phase, cells: int) -> None:
        self._done, self._cells = 0, cells
        self._step = f"{phase.at:%d %b %H:%M} {phase.phase}: measuring"

    def advance(self) -> None:
        self._done += 1
        if self._done % 20 == 0:
            self._show(f"{self._step} {self._done}/{self._cells}")

    def measured(self, phase: Phase, results: Sequence[Result], seconds: float) -> None:
        """A line for a phase that has been measured."""
        if not self._told_heading:
            self._told_heading = True
            self._line("UTC", "phase", "got through", "took", "", style="dim")
        through = sum(result.outcome in {Outcome.OK, Outcome.THROTTLED} for result in results)
        unmet = sum(not result.met for result in results)
        title = f"[red]{unmet} not as expected[/red]" if unmet else f"[dim]{escape(phase.title)}[/dim]"
        share = f"{through}/{len(results)}"
        self._line(f"{phase.at:%d %b %H:%M}", escape(phase.phase), share, f"{seconds:.1f} s", title)

    def _line(self, when: str, name: str, share: str, took: str, text: str, style: str = "") -> None:
        line = f"{when:<12}  {name:<{self._name_width}} {share:>11} {took:>6}  {text}"
        self._console.print(line, style=style, no_wrap=True, overflow="ellipsis", crop=True)

    def notice(self, text: str) -> None:
        self._console.print(f"[yellow]note:[/yellow] {escape(text)}", soft_wrap=True)

    def story(
        self,
        phases: Sequence[Phase],
        results: Sequence[Result],
        faults: Sequence[str],
        shown: str,
        seconds: float,
        captures: bool = False,
    ) -> None:
        """The table, what was not as expected, and where everything is."""
        self._quiet()
        print_ = self._console.print
        print_("\n[bold]Percent of ordinary subscribers who got through[/bold], each group by its number")
        for table in tables(self._scenario, phases, results, max(_LEAST_WIDTH, self._console.width)):
            print_()
            print_(table)
        print_("[dim]~ some of it throttled   ! an expectation was not met   · not measured[/dim]\n")
        for line in unmet_lines(results):
            print_(f"[red]not as expected:[/red] {escape(line)}", soft_wrap=True)
        for code, source in cited(self._scenario, results):
            print_(escape(f"    [{code}] {source}"), soft_wrap=True)
        for fault in dict.fromkeys(faults):
            print_(f"[red]went wrong:[/red] {escape(fault)}", soft_wrap=True)
        met = all(result.met for result in results) and not faults
        verdict = verdict_line(results, faults)
        print_(f"[{'green' if met else 'red'}]{verdict}[/] The run took {seconds:.0f} s.")
        print_(f"Files in {escape(shown)}: {_FILES}{', pcap/' if captures else ''}", soft_wrap=True)

    def self_check_failed(self, broken: Sequence[Result], shown: str) -> None:
        self._quiet()
        count = f"{len(broken)} measurement{'s' if len(broken) > 1 else ''} did not succeed"
        self._console.print(f"[red]The self-check failed:[/red] with nothing blocked, {count}.")
        works = Expectation(outcome=Outcome.OK, source="")
        for line in unmet_lines([replace(result, expectation=works) for result in broken]):
            self._console.print(f"    {escape(line)}", soft_wrap=True)
        self._console.print("The run stops here: what does not work by itself cannot be shut down.")
        self._console.print(f"Logs of every server are in {escape(shown)}/logs.", soft_wrap=True)

    def broken(self, lines: Sequence[str], cells: int, shown: str | None) -> None:
        """The run cannot go on; `lines`: why. `shown`: the directory that has its logs, if any."""
        self._quiet()
        self._console.print("[red]The run broke off:[/red]")
        for line in lines:
            self._console.print(f"    {escape(line)}", soft_wrap=True)
        if shown and cells:
            self._console.print(f"The {cells:,} measurements made until then are in {escape(shown)}.", soft_wrap=True)
        if shown:
            self._console.print(f"Logs of every process are in {escape(shown)}/logs.", soft_wrap=True)

    def interrupted(self, shown: str) -> None:
        self._quiet()
        self._console.print(f"[yellow]Interrupted.[/yellow] What was measured is in {escape(shown)}.", soft_wrap=True)

    def _show(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._live is None:  # without a thread of its own: the run forks while it speaks
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text, style="dim"), refresh=True)

    def _quiet(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def inside(payload: Mapping[str, Any]) -> int:
    """A run inside its sandbox, told on standard output; returns the exit code."""
    return run.inside(payload, Progress(payload["shutdown"].scenario))
