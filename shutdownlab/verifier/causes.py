"""How two versions of a scenario differ, policy by policy and line by line: the causes of changed cells. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from shutdownlab.config.document import Record
from shutdownlab.config.writing import dump
from shutdownlab.library import Shutdown
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Phase
from shutdownlab.model.topology import VantageId
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.compare import CellChange, Comparison, Seen
from shutdownlab.verifier.mending import NOBODY
from shutdownlab.verifier.verdicts import Verifier

_Record = TypeVar("_Record", bound=Record)
_LISTS = frozenset({"where", "except"})
"""Keys whose parts are lists; to leave one out is to leave out all its parts."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A difference between two versions of a scenario.

    policy: its name; "" if the difference is not about a policy.
    place: `file:line`, in the old file for what was removed.
    phases: those it affects; empty: all.
    undone: the new policy with this difference undone; None if that cannot be done.
    """

    policy: str
    text: str
    place: str
    phases: frozenset[str]
    undone: Policy | None = None

    def __str__(self) -> str:
        return f"{self.text}{f', {self.place}' if self.place else ''}"


def with_causes(
    comparison: Comparison,
    old: tuple[Shutdown, Mapping[str, str]],
    new: tuple[Shutdown, Mapping[str, str]],
    *,
    verifier: Verifier | None = None,
) -> Comparison:
    """Returns the comparison with the causes of each change.

    Causes are the differences of policies in force in those phases that change the cells when undone one at a time; if
    none does (because each suffices, or only several together do), all of them. `verifier`: one of the new scenario,
    to reuse its verdicts.
    """
    found = [*_policies(old, new), *_timelines(old, new), *_rest(old, new)]
    trial = _Trial(verifier or Verifier(*new))
    changes = tuple(
        replace(change, causes=tuple(map(str, trial.matter(change, causes_of(change, found)))))
        for change in comparison.changes
    )
    return replace(comparison, changes=changes)


class _Trial:
    """Undoes differences on the model of the new scenario, one at a time, to see which cells change."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._phases = {phase.phase: phase for phase in verifier.shutdown.scenario.timeline}
        self._cells: dict[str, defaultdict[tuple[VantageId, str], list[Cell]]] = {}
        self._imagined: dict[tuple[str, int], Phase] = {}

    def matter(self, change: CellChange, causes: list[Cause]) -> list[Cause]:
        """Returns the causes without those that change no cell when undone.

        All of them, if none changes any, or if fewer than two can be undone.
        """
        tried = [cause for cause in causes if cause.undone is not None]
        if len(tried) < 2:
            return causes
        idle = [cause for cause in tried if not self._changes(change, cause)]
        return causes if len(idle) == len(tried) else [cause for cause in causes if cause not in idle]

    def _changes(self, change: CellChange, cause: Cause) -> bool:
        """Whether any of the change's cells has another outcome with the cause undone; True if none can be tried."""
        cells = [
            (name, cell)
            for name in change.phases
            if name in cause.phases
            for operator, region, group, *_ in change.who
            for target in change.targets
            for cell in self._of(name).get((VantageId(operator, region, group), target), ())
            if cell.family.value in change.families
        ]
        return not cells or any(self._seen(name, cell) != self._seen(name, cell, cause) for name, cell in cells)

    def _of(self, name: str) -> dict[tuple[VantageId, str], list[Cell]]:
        """Returns the cells of a phase that are measured inside the country, by vantage point and target."""
        if name not in self._cells:
            found = self._cells[name] = defaultdict[tuple[VantageId, str], list[Cell]](list)
            for cell in cells_of(self._verifier.shutdown, self._phases[name]):
                if cell.vantage is not None:
                    found[cell.vantage.id, cell.target].append(cell)
        return self._cells[name]

    def _seen(self, name: str, cell: Cell, without: Cause | None = None) -> Seen:
        phase = self._phases[name] if without is None else self._imagine(name, without)
        found = self._verifier.verdict(phase, cell)
        return found.outcome, found.failure

    def _imagine(self, name: str, without: Cause) -> Phase:
        """Returns a phase in which one difference of a policy is undone."""
        key = name, id(without)
        if key not in self._imagined:
            phase, undone = self._phases[name], without.undone
            assert undone is not None
            active = dict(self._verifier.classes.active(phase))
            active.pop(without.policy, None)
            active[f"{without.policy}~without {without.text}"] = undone
            self._imagined[key] = self._verifier.classes.imagine(phase, active)
        return self._imagined[key]


def causes_of(change: CellChange, causes: list[Cause]) -> list[Cause]:
    """Returns the causes that affect any of the change's phases, those that affect most of them first."""
    phases = frozenset(change.phases)
    shared = [(len(cause.phases & phases) if cause.phases else len(phases), cause) for cause in causes]
    return [cause for number, cause in sorted(shared, key=lambda each: -each[0]) if number]


def _policies(old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]) -> Iterator[Cause]:
    before, after = old[0].scenario.policies, new[0].scenario.policies
    for name in dict.fromkeys((*before, *after)):
        phases = _in_force(old, name) | _in_force(new, name)
        if phases and name in before and name in after and before[name] != after[name]:
            yield from _differences(name, before[name], after[name], phases, old[0], new[0])


def _differences(
    name: str, before: Policy, after: Policy, phases: frozenset[str], old: Shutdown, new: Shutdown
) -> Iterator[Cause]:
    first, second = dump(before), dump(after)
    for key in dict.fromkeys((*first, *second)):
        if key in {"title", "source"} or first.get(key) == second.get(key):
            continue
        place = (new if key in second else old).place(("policies", name, key))
        was, now = (getattr(policy, _attribute(policy, key)) for policy in (before, after))
        old_parts, new_parts = (each.get(key, {} if key in _LISTS else None) for each in (first, second))
        if isinstance(old_parts, dict) and isinstance(new_parts, dict):
            for part, text, back, away in _within(name, key, old_parts, new_parts):
                undone = was
                if isinstance(now, Record) and type(was) is type(now):
                    own = _valued(was, part, old_parts), _valued(now, part, new_parts)
                    undone = _with(now, part, _without(own[0], own[1], back, away))
                yield Cause(name, text, place, phases, _with(after, key, undone))
        else:
            yield Cause(name, f"`{name}` has another `{key}`", place, phases, _with(after, key, was))


def _with(record: _Record, key: str, value: object) -> _Record:
    """Returns a copy of a record with another value of a key."""
    return record.model_copy(update={_attribute(record, key): value})


def _attribute(record: Record, key: str) -> str:
    """Returns the attribute that a key in a file stands for."""
    return next(name for name, field in type(record).model_fields.items() if key in (field.alias, name))


_Valued: TypeAlias = tuple[Any, list[str]]
"""The value of a key, and its items as written in a file."""


def _valued(record: Record, part: str, written: Mapping[str, Any]) -> _Valued:
    return getattr(record, _attribute(record, part)), _listed(written.get(part))


def _without(was: _Valued, now: _Valued, back: Collection[str], away: Collection[str]) -> Any:
    """Returns the new list with the removed items `back` again and the added items `away` left out.

    If either value is not a list, returns the old value.
    """
    if not (isinstance(was[0], tuple) and isinstance(now[0], tuple)):
        return was[0]
    kept = [value for value, item in zip(*now, strict=True) if item not in away]
    return (*kept, *(value for value, item in zip(*was, strict=True) if item in back))


def _within(
    name: str, key: str, first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Yields the differences of a mapping of lists, such as `except`.

    Each is: the key in the mapping, the difference in words, and the items to add again and to remove to undo it.
    """
    verb = {"except": "except", "block": "block", "only": "slow"}.get(key)
    for part in dict.fromkeys((*first, *second)):
        was, now = (_listed(each.get(part)) for each in (first, second))
        gone, come = [item for item in was if item not in now], [item for item in now if item not in was]
        what = "" if part in {"ports", "apps", "sites", "addresses"} else f"{part} "
        if verb is None:
            if gone or come:
                lists = f"{part} {', '.join(now) or 'all'}, not {', '.join(was) or 'all'}"
                yield part, f"`{name}` has another `{key}`: {lists}", gone, come
            continue
        if gone:
            yield part, f"`{name}` no longer {verb}s {what}{', '.join(gone)}", gone, []
        if come:
            yield part, f"`{name}` {verb}s {what}{', '.join(come)} now", [], come


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _timelines(old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]) -> Iterator[Cause]:
    """Yields causes for policies that are in force in phases in which they were not, or no longer are."""
    shared = {phase.phase for phase in old[0].scenario.timeline} & {phase.phase for phase in new[0].scenario.timeline}
    for name in dict.fromkeys((*old[0].scenario.policies, *new[0].scenario.policies)):
        was, now = _in_force(old, name) & shared, _in_force(new, name) & shared
        for phases, shutdown, text, where in (
            (now - was, new[0], f"`{name}` is in force there now", {"where": NOBODY}),
            (was - now, old[0], f"`{name}` is no longer in force there", {}),
        ):
            if phases:
                undone = shutdown.scenario.policies[name].model_copy(update=where)
                yield Cause(name, text, shutdown.place(("policies", name)), frozenset(phases), undone)


def _rest(old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]) -> Iterator[Cause]:
    """Yields causes that concern every cell: changed DPI boxes, topology and apps."""
    for operator in old[0].profiles.keys() & new[0].profiles.keys():
        if old[0].profiles[operator] != new[0].profiles[operator]:
            yield Cause("", f"the DPI box of {operator} has changed", new[0].place(("profile",)), frozenset())
    if old[0].topology != new[0].topology:
        yield Cause("", "the topology has changed", "", frozenset())
    if old[0].apps != new[0].apps:
        yield Cause("", "the apps have changed", "", frozenset())


def _in_force(side: tuple[Shutdown, Mapping[str, str]], policy: str) -> frozenset[str]:
    scenario, choices = side[0].scenario, side[1]
    return frozenset(p.phase for p in scenario.timeline if policy in scenario.active(p.phase, choices))
