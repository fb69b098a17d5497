"""The story of a run as a table: a row a phase, a column a service, the share of subscribers who reach it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from shutdownlab.model.scenario import Outcome, Phase, Scenario
from shutdownlab.results.directory import Result

_COLOURS = ((0.995, "green"), (0.5, "yellow"), (0.005, "dark_orange"), (0.0, "red"))
_CELL = 6
_PHASE = 24


@dataclass(slots=True)
class Share:
    """Subscribers (weighted) who got through, of those who were measured; `unmet`: an expectation failed here."""

    measured: float = 0.0
    reached: float = 0.0
    slow: float = 0.0
    unmet: bool = False

    def add(self, result: Result) -> None:
        weight = result.cell.vantage.weight
        self.measured += weight
        self.reached += weight * (result.outcome in {Outcome.OK, Outcome.THROTTLED})
        self.slow += weight * (result.outcome is Outcome.THROTTLED)
        self.unmet = self.unmet or not result.met

    def text(self) -> Text:
        """`100`, ` 37~` (some of it slow), `  0!` (not as expected): percent, readable without colour."""
        if not self.measured:
            return Text("!" if self.unmet else "·", style="red" if self.unmet else "dim")
        share = self.reached / self.measured
        colour = "yellow" if self.slow else next(colour for least, colour in _COLOURS if share >= least)
        marks = ("~" if self.slow else "") + ("!" if self.unmet else "")
        return Text(f"{_percent(share)}{marks}", style=f"bold {colour} reverse" if self.unmet else colour)


def _percent(share: float) -> str:
    """Whole percent; only all is 100 and only none is 0."""
    return str(0 if share <= 0 else 100 if share >= 1 else min(99, max(1, round(share * 100))))


def shares(scenario: Scenario, results: Iterable[Result]) -> Mapping[tuple[str, str], Share]:
    """The share of each (phase, column)."""
    found: dict[tuple[str, str], Share] = defaultdict(Share)
    for result in results:
        column = scenario.probes[result.cell.target].column or result.cell.target
        found[result.cell.phase, column].add(result)
    return found


def columns_of(scenario: Scenario) -> list[str]:
    return list(dict.fromkeys(probe.column or name for name, probe in scenario.probes.items()))


def tables(scenario: Scenario, phases: Sequence[Phase], results: Sequence[Result], width: int) -> Iterator[Table]:
    """As many tables, side by side in content, as a terminal of `width` columns needs."""
    found = shares(scenario, results)
    columns = columns_of(scenario)
    fit = max(4, (width - _PHASE - 14) // (_CELL + 1))
    for start in range(0, len(columns), fit):
        yield _table(scenario, phases, found, columns[start : start + fit])


def _table(
    scenario: Scenario, phases: Sequence[Phase], found: Mapping[tuple[str, str], Share], columns: Sequence[str]
) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    table.add_column("UTC", style="dim", no_wrap=True)
    table.add_column("phase", no_wrap=True, overflow="ellipsis", max_width=_PHASE)
    for column in columns:
        table.add_column(_folded(column), justify="right", no_wrap=True, min_width=_CELL)
    for phase in phases:
        cells = [found[phase.phase, column].text() for column in columns]
        table.add_row(f"{phase.at:%d %b %H:%M}", phase.phase, *cells)
    return table


def _folded(heading: str) -> str:
    """A heading over several lines, a word each."""
    return "\n".join(heading.split())
