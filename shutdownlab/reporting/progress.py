"""Prints the progress of a run, and the table at its end: an event listener."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.report import print_story
from shutdownlab.reporting.summary import unmet_lines
from shutdownlab.results.events import (
    Begun,
    Broken,
    Built,
    Damaged,
    Event,
    Fault,
    Finished,
    Interrupted,
    Measured,
    Notice,
    PhaseBegun,
    PhaseMeasured,
    SelfChecked,
    SignalsJudged,
    Step,
    Voided,
    Waiting,
)
from shutdownlab.results.result import Result
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.results.table import table_of

_FILES = "results.csv, measurements.jsonl (OONI), events.jsonl, manifest.json, logs/"
_EVERY = 20
"""The number of measurements between updates of the live line."""


class Progress:
    """Prints the progress of a run: a line per phase, and on a terminal a live line, too."""

    def __init__(self, directory: Path | None, console: Console | None = None, *, story: bool = True) -> None:
        """directory: the run directory, as the user wrote it; None: the directory in `runs` named by the first event.

        console: where to print; None: standard output. story: whether to print the table at the end.
        """
        self.shown = str(directory or "runs")
        """The name of the run directory in messages."""
        self._named = directory is not None
        self._console = console or Console(highlight=False)
        self._story = story
        self._live: Live | None = None
        self._begun: Begun | None = None
        self._results: list[Result] = []
        self._under_way: list[Result] = []
        self._doing = ""
        self._cells = 0
        self._heading_printed = False
        self._broken: Broken | None = None
        self._signals: tuple[SignalVerdict, ...] = ()
        self._datapath = ""
        self._noticed: dict[str, list[str]] = {}
        """Notices about phases, each with the phases it was about."""

    def __call__(self, event: Event) -> None:
        """Prints what an event means to the user."""
        match event:
            case Begun():
                self._begun = event
                self.shown += "" if self._named else f"/{event.run}"
                operators = ", ".join(title.split(" (")[0] for title in event.operators.values())
                self._print(f"[bold]{literal(event.title)}[/bold]: {literal(operators)}")
            case Step():
                self._show(f"{event.text} …")
            case Built():
                used = event.emulation
                text = f"Open vSwitch's {used.datapath} datapath: {used.datapath_because}"
                if text != self._datapath:  # sent again when a country is rebuilt or a run is resumed
                    self._console.print(text, style="dim", soft_wrap=True, markup=False)
                self._datapath = text
            case Waiting():
                self._show(f"{event.seconds:.0f} s until {event.phase}")
            case PhaseBegun():
                self._under_way, self._cells = [], event.cells
                self._doing = f"{event.time:%d %b %H:%M} {event.phase}: measuring"
            case Measured():
                self._under_way.append(event.result)
                if len(self._under_way) % _EVERY == 0:
                    self._show(f"{self._doing} {len(self._under_way)}/{self._cells}")
            case PhaseMeasured():
                self._phase(event)
            case Voided():
                self._under_way = []
                where = "in a country built anew" if event.anew else "again"
                self._note(f"{'; '.join(event.reasons)}: {event.phase} is measured {where}")
            case Damaged():
                for name, title in event.faults.items():
                    self._note(f"{event.phase}: {title} (fault {name})")
            case Notice():
                self._notice(event)
            case Fault():
                self._note(event.text)
            case SelfChecked() if event.broken:
                self._self_check_failed(event.broken)
            case Broken():
                self._broken = event
            case Interrupted():
                self._stop_live_line()
                kept = f"What was measured is in {literal(self.shown)}."
                goes_on = f"To go on: `shutdownlab resume {literal(self.shown)}`."
                self._print(f"[yellow]Interrupted.[/yellow] {kept} {goes_on}")
            case SignalsJudged():
                self._signals = event.signals
            case Finished():
                self._finished(event)
            case _:
                pass

    def _phase(self, event: PhaseMeasured) -> None:
        """Prints the line of a measured phase."""
        assert self._begun is not None
        self._results += self._under_way
        if not self._heading_printed:
            self._heading_printed = True
            self._line("UTC", "phase", "got through", "took", "", style="dim")
        phase = next(phase for phase in self._begun.phases if phase.phase == event.phase)
        title = f"[red]{event.unmet} not as expected[/red]" if event.unmet else f"[dim]{literal(phase.title)}[/dim]"
        slow = sum(result.outcome is Outcome.THROTTLED for result in self._under_way)
        held = f", {'all' if event.held == event.cells else event.held} held" if event.held else ""
        share = f"{event.reached}/{event.cells}{f', {slow} slow' if slow else ''}{held}"
        self._line(f"{phase.at:%d %b %H:%M}", literal(phase.phase), share, f"{event.seconds:.1f} s", title)

    def _line(self, when: str, name: str, share: str, took: str, text: str, style: str = "") -> None:
        assert self._begun is not None
        width = max(len(phase.phase) for phase in self._begun.phases)
        line = f"{when:<12}  {name:<{width}} {share:>16} {took:>6}  {text}"
        self._console.print(line, style=style, no_wrap=True, overflow="ellipsis", crop=True)

    def _notice(self, event: Notice) -> None:
        """Prints a notice; if several phases have the same, only the first, and at the end how many more."""
        if self._begun is not None and any(phase.phase == event.where for phase in self._begun.phases):
            phases = self._noticed.setdefault(event.text, [])
            phases.append(event.where)
            if len(phases) > 1:
                return
        self._note(f"{event.where}: {event.text}")

    def _note(self, text: str) -> None:
        self._print(f"[yellow]note:[/yellow] {literal(text)}")

    def _finished(self, event: Finished) -> None:
        self._stop_live_line()
        if event.status == "finished":
            self._print_summary(event)
        elif self._broken is not None:
            self._broke(self._broken)

    def _print_summary(self, event: Finished) -> None:
        """Prints the table, what was not as expected, and where the files are."""
        begun = self._begun
        assert begun is not None
        for text, (_, *again) in self._noticed.items():
            if again:
                self._note(f"in {len(again)} more phase{'s' if len(again) > 1 else ''}, too: {text}")
        if self._story:
            table = table_of(self._results, begun.columns, begun.short_columns)
            print_story(self._console, table, self._results, begun.sources, event.faults, self._signals)
        if begun.changed_since:
            walked = len({result.phase for result in self._results if not result.held})
            since = literal(begun.changed_since)
            self._print(f"{walked} of {len(begun.phases)} phases have cells that changed since {since}.")
        captures = (", pcap/" if begun.pcap else "") + (", readings.csv, observations/" if begun.observe else "")
        captures += ", selection.json" if begun.changed_since else ""
        self._print(f"The run took {event.seconds:.0f} s. Files in {literal(self.shown)}: {_FILES}{captures}")

    def _self_check_failed(self, broken: Sequence[Result]) -> None:
        self._stop_live_line()
        count = f"{len(broken)} measurement{'s' if len(broken) > 1 else ''} did not succeed"
        self._print(f"[red]The self-check failed:[/red] with nothing blocked, {count}.")
        for line in unmet_lines(
            [result.model_copy(update={"expected": Outcome.OK, "source": ""}) for result in broken]
        ):
            self._print(f"    {literal(line)}")
        self._print("The run stops here: a shutdown can be measured only where everything works before it.")
        self._print(f"Logs of every server are in {literal(self.shown)}/logs.")

    def _broke(self, event: Broken) -> None:
        """Prints why the run broke off, and where its results and logs are."""
        self._print("[red]The run broke off:[/red]")
        for line in event.lines:
            self._print(f"    {literal(line)}")
        if self._begun is None:  # there is no run directory
            return
        if self._results:
            self._print(f"The {len(self._results):,} measurements made until then are in {literal(self.shown)}.")
        self._print(f"Logs of every process are in {literal(self.shown)}/logs.")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _show(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text, style="dim"), refresh=True)

    def _stop_live_line(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
