"""A run as a table: a row per phase, a column per service, the share of subscribers who got through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shutdownlab.config.wording import quoted
from shutdownlab.model.lookup import known, refuse
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.result import Result


@dataclass(slots=True)
class Share:
    """The weight (subscribers) that got through, out of the weight that was measured.

    slow: the weight that got through throttled. held: cells that were not measured, as they cannot differ from another
    phase's. unmeasured: cells without a verdict (`error`, `unknown`), which count neither way. unmet: an expectation
    failed here.
    """

    measured: float = 0.0
    reached: float = 0.0
    slow: float = 0.0
    held: int = 0
    unmeasured: int = 0
    unmet: bool = False

    def add(self, result: Result, *, strict: bool = True) -> None:
        """Counts one result. strict: a result without a verdict is not as expected."""
        self.unmet = self.unmet or not (result.met or (not strict and not result.outcome.is_measured))
        self.held += bool(result.held)
        if not result.outcome.is_measured:
            self.unmeasured += 1
            return
        self.measured += result.weight
        self.reached += result.weight * result.outcome.got_through
        self.slow += result.weight * (result.outcome is Outcome.THROTTLED)

    def add_alike(self, outcome: Outcome, weight: float, cells: int, *, met: bool) -> None:
        """Counts `cells` results with the same outcome. weight: their total."""
        self.unmet = self.unmet or not met
        if not outcome.is_measured:
            self.unmeasured += cells
            return
        self.measured += weight
        self.reached += weight * outcome.got_through
        self.slow += weight * (outcome is Outcome.THROTTLED)

    @property
    def fraction(self) -> float | None:
        """The share that got through, 0 to 1; None if nothing was measured."""
        return self.reached / self.measured if self.measured else None

    def __str__(self) -> str:
        """`100`, `37~` (some throttled), `100=` (some held), `0!` (not as expected), `50?` (some without a verdict),
        `·` (not measured)."""
        if self.fraction is None:
            return "?!" if self.unmeasured and self.unmet else "!" if self.unmet else "?" if self.unmeasured else "·"
        return (
            percent(self.fraction)
            + "~" * bool(self.slow)
            + "=" * bool(self.held)
            + "?" * bool(self.unmeasured)
            + "!" * self.unmet
        )


def percent(share: float) -> str:
    """Returns a share as whole percent; only exactly all is 100, and only exactly none is 0."""
    return str(0 if share <= 0 else 100 if share >= 1 else min(99, max(1, round(share * 100))))


@dataclass(frozen=True, slots=True)
class Table:
    """Percent of ordinary subscribers who got through, each group weighted by its number of subscribers.

    phases: name and scenario time, in order. columns: headings, in order. short: abbreviated headings for narrow
    terminals, by heading. `table[phase, column]` is the `Share`, also of a cell that was not measured; it raises
    `BadInput` for a phase or a column that the table does not have.
    """

    phases: tuple[tuple[str, datetime], ...]
    columns: tuple[str, ...]
    shares: Mapping[tuple[str, str], Share] = field(repr=False)
    short: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __getitem__(self, place: tuple[str, str]) -> Share:
        found = self.shares.get(place)
        if found is not None:
            return found
        if not isinstance(place, tuple) or len(place) != 2:
            refuse("table", quoted(place), "a phase and a column: table[PHASE, COLUMN]")
        known("phase", place[0], dict(self.phases), "table")
        known("column", place[1], self.columns, "table")
        return Share()

    def rows(self) -> list[dict[str, object]]:
        """Returns a dictionary per phase: `phase`, `time`, and each column's share, 0 to 1 (None: not measured)."""
        return [
            {"phase": name, "time": at, **{column: self[name, column].fraction for column in self.columns}}
            for name, at in self.phases
        ]

    def __str__(self) -> str:
        width = max([len(name) for name, _ in self.phases], default=5)
        heads = [max(len(column), 4) for column in self.columns]
        lines = [" ".join([f"{'phase':<{width}}", *(f"{c:>{w}}" for c, w in zip(self.columns, heads, strict=True))])]
        for name, _ in self.phases:
            cells = (f"{self[name, c]!s:>{w}}" for c, w in zip(self.columns, heads, strict=True))
            lines.append(" ".join([f"{name:<{width}}", *cells]))
        return "\n".join(lines)


def table_of(
    results: Iterable[Result],
    columns: Sequence[str] = (),
    short: Mapping[str, str] | None = None,
    *,
    strict: bool = True,
) -> Table:
    """Returns the table of results.

    columns: the first columns, in order. short: abbreviated headings, by heading. strict: whether a cell without a
    verdict is not as expected; in results that were computed (`verify`) it is merely undecided.
    """
    phases: dict[str, datetime] = {}
    found: dict[tuple[str, str], Share] = {}
    headings = dict.fromkeys(columns)
    for result in results:
        phases.setdefault(result.phase, result.time)
        column = result.column or result.target
        headings.setdefault(column)
        found.setdefault((result.phase, column), Share()).add(result, strict=strict)
    return Table(tuple(phases.items()), tuple(headings), found, short or {})
