"""Cells of a phase that cannot differ, told once: who measures, what, what comes of it and what was expected. Pure.

A country has as many cells as it has operators, regions, targets and phases; kinds of them are few. What is asked of
all (the table, how many are not as expected) is worked out kind by kind, and rows are made where somebody reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shutdownlab.model.probe import Probe
from shutdownlab.model.scenario import Expectation, Family, Phase
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage, VantageId
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.verdicts import CellVerdict, Verifier

_Kind: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Cells of one phase and target with the same verdict, of which the same is expected.

    vantages: who measures; empty for what is seen from outside, which is of the `operator`. weight: of all together.
    """

    phase: Phase
    target: str
    column: str
    family: Family
    verdict: CellVerdict
    expected: Expectation | None
    vantages: Sequence[Vantage]
    operator: str
    cells: int
    weight: float

    @property
    def is_decided(self) -> bool:
        """Whether there is a verdict."""
        return self.verdict.outcome.is_measured

    @property
    def met(self) -> bool:
        """Whether they are as expected; what is undecided never is."""
        outcome = self.verdict.outcome
        return outcome.is_measured and (self.expected is None or self.expected.outcome is outcome)


@dataclass(frozen=True, slots=True)
class _Alike:
    """Vantage points of one kind."""

    vantages: list[Vantage]
    weight: float


class CellGroups:
    """The groups of every phase of a scenario, by whatever tells vantage points apart."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier, self.shutdown, self.scenario = verifier, verifier.shutdown, verifier.shutdown.scenario
        self._scopes = self._told_apart_by()
        self._always: list[_Kind] = []
        self._asking: dict[tuple[str, VantageId], bool] = {}
        self._found: dict[object, dict[tuple[VantageId, str, Family], CellVerdict]] = {}
        """What has come of cells, in phases that are alike."""

    def of_phase(self, phase: Phase) -> Iterator[CellGroup]:
        """Every cell of a phase is in one of them."""
        probes = {n: p for n, p in self.scenario.probes.items() if self.scenario.is_during(p.during, phase.phase)}
        expectations = [
            (each, [name for name in probes if each.is_about(name)])
            for each in self.scenario.expectations_of(phase, self.verifier.choices)
        ]
        found = self._found.setdefault(self.verifier.classes.likeness(phase), {})
        for alike in self._alike(phase):
            first = alike.vantages[0]
            expected: dict[str, Expectation] = {}  # the last one counts
            for each, names in expectations:
                if each.who.covers(first):
                    expected |= dict.fromkeys(names, each)
            for name, probe in probes.items():
                if not self._asks(name, probe, first):
                    continue
                for family in probe.families:
                    key = first.id, name, family
                    if (verdict := found.get(key)) is None:
                        cell = Cell(phase.phase, first.id.operator, first, name, family)
                        verdict = found[key] = self.verifier.verdict(phase, cell)
                    yield CellGroup(
                        phase, name, probe.column or name, family, verdict, expected.get(name), alike.vantages,
                        "", len(alike.vantages), alike.weight,
                    )  # fmt: skip
        yield from self._outside(phase)

    def _asks(self, name: str, probe: Probe, vantage: Vantage) -> bool:
        """Whether a vantage point runs a probe, in the phases that it is of."""
        if (name, vantage.id) not in self._asking:
            self._asking[name, vantage.id] = probe.from_.covers(vantage)
        return self._asking[name, vantage.id]

    def _outside(self, phase: Phase) -> Iterator[CellGroup]:
        """What is seen from outside, of each operator."""
        for name, operator in self.shutdown.topology.operators.items():
            for target, seen in self.scenario.observations_of(phase.phase, name).items():
                expected = self.scenario.expected_outside(phase, self.verifier.choices, name, target)
                for family in seen.families:
                    verdict = self.verifier.verdict(phase, Cell(phase.phase, name, None, target, family))
                    yield CellGroup(
                        phase, target, seen.column or target, family, verdict, expected, (), name,
                        1, operator.subscribers,
                    )  # fmt: skip

    def _alike(self, phase: Phase) -> list[_Alike]:
        found: dict[_Kind, list[Vantage]] = {}
        for vantage, always in zip(self.shutdown.network.vantages, self._kinds(), strict=True):
            now = self.verifier.classes.situation(phase, vantage)
            found.setdefault((always, now), []).append(vantage)
        return [_Alike(vantages, sum(each.weight for each in vantages)) for vantages in found.values()]

    def _kinds(self) -> list[_Kind]:
        """What tells vantage points apart in every phase: who is meant by scopes, and what is near."""
        if not self._always:
            classes = self.verifier.classes
            self._always = [
                (tuple([scope.covers(vantage) for scope in self._scopes]), classes.surroundings(vantage))
                for vantage in self.shutdown.network.vantages
            ]
        return self._always

    def _told_apart_by(self) -> list[Scope]:
        scenario = self.scenario
        scopes = [probe.from_ for probe in scenario.probes.values()]
        for phase in scenario.timeline:
            scopes += [each.who for each in scenario.expectations_of(phase, self.verifier.choices)]
        return list({repr(scope): scope for scope in scopes if scope != Scope()}.values())
