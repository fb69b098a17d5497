"""What two versions of a scenario say differently, policy by policy, and where: the causes of changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shutdownlab.config.writing import dump
from shutdownlab.library import Shutdown
from shutdownlab.model.policy import Policy
from shutdownlab.verifier.compare import CellChange, Comparison


@dataclass(frozen=True, slots=True)
class Cause:
    """A difference: the policy it is about, in words, and where it stands (`file:line`, of what is gone the old
    file's). phases: those in which it counts; none: in all, as what is no policy's."""

    policy: str
    text: str
    place: str
    phases: frozenset[str]

    def __str__(self) -> str:
        return f"{self.text}{f', {self.place}' if self.place else ''}"


def with_causes(
    comparison: Comparison, old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]
) -> Comparison:
    """The same, each change with what could have caused it: a difference of a policy that is in force then."""
    found = [*_policies(old, new), *_timelines(old, new), *_rest(old, new)]
    changes = tuple(replace(change, causes=tuple(map(str, causes_of(change, found)))) for change in comparison.changes)
    return replace(comparison, changes=changes)


def causes_of(change: CellChange, causes: list[Cause]) -> list[Cause]:
    """Those that count in any of its phases, first what counts in the most of them."""
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
    for field in dict.fromkeys((*first, *second)):
        if field in {"title", "source"} or first.get(field) == second.get(field):
            continue
        key = "except" if field == "except_" else field
        place = (new if field in second else old).place(("policies", name, key))
        if isinstance(first.get(field), dict) and isinstance(second.get(field), dict):
            for text in _within(name, key, first[field], second[field]):
                yield Cause(name, text, place, phases)
        else:
            yield Cause(name, f"`{name}` has another `{key}`", place, phases)


def _within(name: str, key: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """What a mapping of lists, such as `except`, no longer has, and has now."""
    verb = {"except": "except", "block": "block", "only": "slow"}.get(key)
    for part in dict.fromkeys((*first, *second)):
        was, now = (_listed(each.get(part)) for each in (first, second))
        gone, come = [item for item in was if item not in now], [item for item in now if item not in was]
        what = "" if part in {"ports", "apps", "sites", "addresses"} else f"{part} "
        if verb is None:
            if gone or come:
                yield f"`{name}` has another `{key}`: {part} {', '.join(now) or 'all'}, not {', '.join(was) or 'all'}"
            continue
        if gone:
            yield f"`{name}` no longer {verb}s {what}{', '.join(gone)}"
        if come:
            yield f"`{name}` {verb}s {what}{', '.join(come)} now"


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _timelines(old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]) -> Iterator[Cause]:
    """Policies that are in force in other phases than they were."""
    shared = {phase.phase for phase in old[0].scenario.timeline} & {phase.phase for phase in new[0].scenario.timeline}
    for name in dict.fromkeys((*old[0].scenario.policies, *new[0].scenario.policies)):
        was, now = _in_force(old, name) & shared, _in_force(new, name) & shared
        for phases, shutdown, text in (
            (now - was, new[0], f"`{name}` is in force there now"),
            (was - now, old[0], f"`{name}` is no longer in force there"),
        ):
            if phases:
                yield Cause(name, text, shutdown.place(("policies", name)), frozenset(phases))


def _rest(old: tuple[Shutdown, Mapping[str, str]], new: tuple[Shutdown, Mapping[str, str]]) -> Iterator[Cause]:
    """What concerns every cell: boxes, the topology, the apps."""
    for operator in old[0].profiles.keys() & new[0].profiles.keys():
        if old[0].profiles[operator] != new[0].profiles[operator]:
            yield Cause("", f"{operator}'s DPI box works otherwise", new[0].place(("profile",)), frozenset())
    if old[0].topology != new[0].topology:
        yield Cause("", "the topology has changed", "", frozenset())
    if old[0].apps != new[0].apps:
        yield Cause("", "the apps have changed", "", frozenset())


def _in_force(side: tuple[Shutdown, Mapping[str, str]], policy: str) -> frozenset[str]:
    scenario, choices = side[0].scenario, side[1]
    return frozenset(p.phase for p in scenario.timeline if policy in scenario.active(p.phase, choices))
