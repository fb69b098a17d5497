"""Compares two sets of results: which cells changed, in groups that a person can read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shutdownlab.model.scenario import Outcome
from shutdownlab.results.result import Result

Seen: TypeAlias = tuple[Outcome, str | None]
"""An outcome and its failure."""
Who: TypeAlias = tuple[str, str, str, str, str]
"""A vantage point: operator, region, subscriber group, access, class; outside the country, all but the first are ""."""
_Key: TypeAlias = tuple[str, Who, str, str]


@dataclass(frozen=True, slots=True)
class CellChange:
    """Cells that changed from the same old outcome to the same new one.

    old, new: outcome and failure.
    phases: in the order of the timeline.
    who: the vantage points of the cells.
    asked: all vantage points from which the targets are measured.
    families: the cells' address families.
    cells: their number.
    causes: the differences between the scenarios that explain the change, if known.
    """

    old: Seen
    new: Seen
    targets: tuple[str, ...]
    phases: tuple[str, ...]
    who: tuple[Who, ...]
    asked: tuple[Who, ...]
    families: tuple[str, ...]
    cells: int
    causes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`blocked`, `down`, `allowed`, `slower`, `faster` (no longer throttled), `otherwise` (same outcome, another
        failure), or `undecided`: the old or the new outcome is unknown."""
        old, new = self.old[0], self.new[0]
        if not (old.is_measured and new.is_measured):
            return "undecided"
        if old is new:
            return "otherwise"
        if not new.got_through:
            return new.value
        if not old.got_through:
            return "allowed"
        return "faster" if new is Outcome.OK else "slower"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two sets of results.

    compared: cells that both have. only_old, only_new: cells that only one of them has.
    """

    changes: tuple[CellChange, ...]
    compared: int
    only_old: int
    only_new: int
    phases: tuple[str, ...]

    @property
    def changed(self) -> int:
        """Number of changed cells, not counting undecided ones."""
        return sum(change.cells for change in self.changes if change.kind != "undecided")

    def __repr__(self) -> str:
        groups = f"{self.changed:,} changed, in groups: {len(self.changes):,}"
        return (
            f"Comparison(of {self.compared:,} cells {groups}; {self.only_old:,} only old, {self.only_new:,} only new)"
        )


def compare(old: Iterable[Result], new: Iterable[Result]) -> Comparison:
    """Compares the cells that both have. Newly blocked cells come first; groups of one kind are ordered by size."""
    before, after = ({key_of(result): result for result in results} for results in (old, new))
    shared = [key for key in after if key in before]
    phases = tuple(dict.fromkeys(key[0] for key in (*after, *before)))
    asked: dict[tuple[str, str], dict[Who, None]] = {}
    otherwise: dict[tuple[Seen, Seen, str], dict[str, dict[Who, set[str]]]] = {}
    for key in shared:
        phase, who, target, family = key
        asked.setdefault((target, family), {})[who] = None
        was, now = seen(before[key]), seen(after[key])
        if was != now:
            found = otherwise.setdefault((was, now, target), {}).setdefault(phase, {})
            found.setdefault(who, set()).add(family)
    changes = _merged(list(_by_phases(otherwise, asked)))
    ordered = sorted(changes, key=lambda change: (_ORDER.index(change.kind), -change.cells))
    return Comparison(tuple(ordered), len(shared), len(before) - len(shared), len(after) - len(shared), phases)


_ORDER = ("blocked", "down", "allowed", "slower", "faster", "otherwise", "undecided")


def key_of(result: Result) -> _Key:
    """Returns what identifies a cell in any set of results: phase, vantage point, target, family."""
    who = result.operator, result.region, result.subscriber, result.access, result.class_
    return result.phase, who, result.target, result.family.value


def seen(result: Result) -> Seen:
    """Returns a cell's outcome and failure; the failure of an unknown outcome is not compared."""
    return result.outcome, None if result.outcome is Outcome.UNKNOWN else result.failure


def _by_phases(
    otherwise: Mapping[tuple[Seen, Seen, str], Mapping[str, Mapping[Who, set[str]]]],
    asked: Mapping[tuple[str, str], Mapping[Who, None]],
) -> Iterable[CellChange]:
    """Yields the changes of each target, with all phases in which the same vantage points are affected."""
    for (was, now, target), phases in otherwise.items():
        alike: dict[tuple[Who, ...], list[str]] = {}
        for phase, found in phases.items():
            alike.setdefault(tuple(found), []).append(phase)
        for who, where in alike.items():
            families = sorted({family for phase in where for each in who for family in phases[phase][each]})
            cells = sum(len(phases[phase][each]) for phase in where for each in who)
            all_asked = dict.fromkeys(each for family in families for each in asked[target, family])
            yield CellChange(was, now, (target,), tuple(where), who, tuple(all_asked), tuple(families), cells)


def _merged(changes: Sequence[CellChange]) -> list[CellChange]:
    """Merges changes that differ only in their targets and families."""
    groups: dict[object, list[CellChange]] = {}
    for change in changes:
        alike = change.old, change.new, change.phases, frozenset(change.who), len(change.asked)
        groups.setdefault(alike, []).append(change)
    return [
        CellChange(
            group[0].old, group[0].new, tuple(target for change in group for target in change.targets),
            group[0].phases, group[0].who, group[0].asked,
            tuple(sorted({family for change in group for family in change.families})),
            sum(change.cells for change in group),
        )
        for group in groups.values()
    ]  # fmt: skip
