"""Warnings about policies that are valid but have surprising effects, found by leaving them out on the model. Pure.

A policy has no measured effect if no cell of any phase changes without it; if cells change that it does not name, they
are collateral damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from shutdownlab.config.document import Path
from shutdownlab.model.answers import Later
from shutdownlab.model.policy import Policy, Targets
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.black_holes import black_holes
from shutdownlab.verifier.leaks import (
    forgotten_families,
    idle_expectations,
    is_named,
    leaking_exceptions,
    one_way_results,
    some,
    unresolved_exceptions,
)
from shutdownlab.verifier.shadows import idle_rules, shadowed
from shutdownlab.verifier.verdicts import Verifier

_Spared = tuple[str, Any]
"""An exception of a policy (its key and the item), or an allowance (`allow` and itself)."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning: its place (`file:line`; "" if a program made the scenario) and its text."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


def warnings_of(verifier: Verifier, timeline: tuple[Phase, ...]) -> list[Warned]:
    """Returns all warnings about the given phases and the policies in force in them."""
    found = [*_Policies(verifier, timeline).warnings(), *_idle_phases(verifier, timeline)]
    if timeline == verifier.shutdown.scenario.timeline:  # an expectation unused in one phase may be used in another
        place = verifier.shutdown.place
        found += [Warned(place(path), text) for path, text in idle_expectations(verifier, timeline)]
    return found


class _Policies:
    """Warns about each policy, by what changes without it."""

    def __init__(self, verifier: Verifier, timeline: tuple[Phase, ...]) -> None:
        self.verifier, self.timeline, self.scenario = verifier, timeline, verifier.shutdown.scenario

    def warnings(self) -> Iterator[Warned]:
        for name, policy in self.scenario.policies.items():
            phases = [phase for phase in self.timeline if name in self.verifier.classes.active(phase)]
            if not phases:
                continue
            for path, text in black_holes(self.verifier, name, phases):
                yield self._at(path, text)
            affected = list(self._felt(name, phases))
            if not affected:
                first = shadowed(self.verifier, name, phases)
                if isinstance(policy.says, Later) and not policy.says.is_too_late:
                    first = ": clients wait for the late answer; only their records show it"
                yield self._at(("policies", name), f"`{name}` changes nothing that is measured{first}")
                continue
            yield from self._beside(name, policy, affected)
            yield from self._idle_exceptions(name, policy, phases)
            for path, text in (
                *leaking_exceptions(self.verifier, name, policy, phases, partial(self._imagined, name)),
                *unresolved_exceptions(self.verifier, name, policy, phases),
                *forgotten_families(self.verifier, name, affected),
                *one_way_results(self.verifier, name, policy, affected),
                *idle_rules(self.verifier, name, policy, phases),
            ):
                yield self._at(path, text)

    def _felt(self, name: str, phases: list[Phase]) -> Iterator[tuple[Phase, Cell]]:
        """Yields the cells whose verdict changes without a policy."""
        for phase in phases:
            active = self.verifier.classes.active(phase)
            without = self.verifier.classes.imagine(phase, {key: each for key, each in active.items() if key != name})
            for cell in cells_of(self.verifier.shutdown, phase):
                if self.verifier.verdict(phase, cell) != self.verifier.verdict(without, cell):
                    yield phase, cell

    def _beside(self, name: str, policy: Policy, affected: list[tuple[Phase, Cell]]) -> Iterator[Warned]:
        """Yields a warning if a policy that names only apps or sites affects others, too."""
        targets = policy.targets
        if targets == Targets() or targets != Targets(apps=targets.apps, sites=targets.sites):
            return
        fallen = dict.fromkeys(cell.target for _, cell in affected if not is_named(self.verifier, targets, cell.target))
        if fallen:
            text = f"`{name}` also blocks what it does not name: {some(list(fallen))}"
            yield self._at(("policies", name, "block" if policy.block else "only"), text)

    def _idle_exceptions(self, name: str, policy: Policy, phases: list[Phase]) -> Iterator[Warned]:
        """Yields a warning for each exception and allowance that changes no cell, and one for those of which any can be
        left out but not all, because they spare the same."""
        given = [(key, item) for key in type(policy.except_).model_fields for item in getattr(policy.except_, key)]
        given += [("allow", item) for item in policy.allow]
        idle = [each for each in given if not self._differs(name, policy, phases, [], [each])]
        either: list[_Spared] = []
        if len(idle) > 1 and self._differs(name, policy, phases, [], idle):
            for each in idle:
                others = [other for other in idle if other != each]
                if self._differs(name, policy, phases, others, idle):
                    either.append(each)
        if len(either) > 1:
            which = " and ".join(f"{key if key != 'allow' else 'what it allows,'} {item}" for key, item in either)
            how = "either can be left out without any measured effect, but not both"
            if len(either) > 2:
                how = "any one can be left out without any measured effect, but not all"
            yield self._at(self._place_of(name, policy, either[0]), f"`{name}` spares {which}: {how}")
            idle = [each for each in idle if each not in either]
        for key in type(policy.except_).model_fields:
            if items := [str(item) for other, item in idle if other == key]:
                text = f"`{name}` spares {key} {some(items)} without any measured effect"
                yield self._at(("policies", name, "except", key), text)
        for each in idle:
            if each[0] == "allow":
                text = f"`{name}` allows {each[1]} without any measured effect"
                yield self._at(self._place_of(name, policy, each), text)

    def _place_of(self, name: str, policy: Policy, spared: _Spared) -> Path:
        key, item = spared
        last = ("allow", policy.allow.index(item)) if key == "allow" else ("except", key)
        return ("policies", name, *last)

    def _differs(
        self, name: str, policy: Policy, phases: list[Phase], some_left_out: list[_Spared], others: list[_Spared]
    ) -> bool:
        """Whether any cell differs between the policy without some of its exceptions and without some others."""
        for phase in phases:
            one, two = (self._lacking(name, policy, phase, left_out) for left_out in (some_left_out, others))
            for cell in cells_of(self.verifier.shutdown, phase):
                if self.verifier.verdict(one, cell) != self.verifier.verdict(two, cell):
                    return True
        return False

    def _lacking(self, name: str, policy: Policy, phase: Phase, left_out: list[_Spared]) -> Phase:
        """Returns the phase with some of a policy's exceptions and allowances left out."""
        if not left_out:
            return phase
        kept = {
            key: tuple(item for item in getattr(policy.except_, key) if (key, item) not in left_out)
            for key in type(policy.except_).model_fields
        }
        allow = tuple(item for item in policy.allow if ("allow", item) not in left_out)
        changed = policy.model_copy(update={"except_": policy.except_.model_copy(update=kept), "allow": allow})
        return self._imagined(
            name, phase, f"{name} but {', '.join(f'{key} {item}' for key, item in left_out)}", changed
        )

    def _imagined(self, name: str, phase: Phase, called: str, changed: Policy) -> Phase:
        """Returns the phase with the policy `name` replaced by `changed`, which is named `called`."""
        active = self.verifier.classes.active(phase)
        other = {(called if key == name else key): (changed if key == name else each) for key, each in active.items()}
        return self.verifier.classes.imagine(phase, other, renamed={name: called})

    def _at(self, path: Path, text: str) -> Warned:
        return Warned(self.verifier.shutdown.place(path), text)


def _idle_phases(verifier: Verifier, timeline: tuple[Phase, ...]) -> Iterator[Warned]:
    """Yields a warning for each phase whose orders change no cell."""
    scenario = verifier.shutdown.scenario
    places = {phase.phase: index for index, phase in enumerate(scenario.timeline)}
    for phase in timeline:
        index = places[phase.phase]
        if not index or not (phase.start or phase.stop):
            continue
        before = verifier.classes.imagine(phase, verifier.classes.active(scenario.timeline[index - 1]))
        cells = cells_of(verifier.shutdown, phase)
        if all(verifier.verdict(phase, cell) == verifier.verdict(before, cell) for cell in cells):
            text = f"the orders of the phase `{phase.phase}` change nothing that is measured"
            yield Warned(verifier.shutdown.place(("timeline", index)), text)
