"""Groups of a phase's cells that cannot differ: vantage points, target, verdict and expectation. Pure.

The number of cells is the product of operators, regions, targets and phases, but there are few kinds of them. Totals
(the table, the number of unmet expectations) are computed group by group; rows for single cells only when read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from shutdownlab.model.probe import Probe, of_versions
from shutdownlab.model.scenario import Expectation, Family, Phase
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage, VantageId
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.verdicts import CellVerdict, Verifier

_Kind: TypeAlias = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Cells of one phase and target with the same verdict and the same expectation.

    vantages: the vantage points; empty for an observation from outside, which is of the `operator`.
    cells: their number.
    weight: the subscribers that all of them stand for.
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
        """Whether the verdict is an outcome other than unknown."""
        return self.verdict.outcome.is_measured

    @property
    def met(self) -> bool:
        """Whether the cells are as expected; False if undecided."""
        outcome = self.verdict.outcome
        return outcome.is_measured and (self.expected is None or self.expected.outcome is outcome)


@dataclass(frozen=True, slots=True)
class _Alike:
    """Vantage points of one kind, and their total weight."""

    vantages: list[Vantage]
    weight: float


class CellGroups:
    """Computes the groups of each phase of a scenario."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier, self.shutdown, self.scenario = verifier, verifier.shutdown, verifier.shutdown.scenario
        self._scopes = self._distinguishing()
        self._always: list[_Kind] = []
        self._families: dict[tuple[str, VantageId], tuple[Family, ...]] = {}
        self._found: dict[object, dict[tuple[VantageId, str, Family], CellVerdict]] = {}
        """Verdicts of cells, shared between phases in which all cells have the same classes."""

    def of_phase(self, phase: Phase) -> Iterator[CellGroup]:
        """Yields the groups of a phase; each of its cells is in exactly one."""
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
                for family in self._asked(name, probe, first):
                    key = first.id, name, family
                    if (verdict := found.get(key)) is None:
                        cell = Cell(phase.phase, first.id.operator, first, name, family)
                        verdict = found[key] = self.verifier.verdict(phase, cell)
                    yield CellGroup(
                        phase, name, probe.column or name, family, verdict, expected.get(name), alike.vantages,
                        "", len(alike.vantages), alike.weight,
                    )  # fmt: skip
        yield from self._outside(phase)

    def _asked(self, name: str, probe: Probe, vantage: Vantage) -> tuple[Family, ...]:
        """Returns the families over which a vantage point runs a probe, in the phases in which the probe is run."""
        key = name, vantage.id
        if key not in self._families:
            covered = probe.from_.covers(vantage)
            self._families[key] = of_versions(probe.families, vantage.versions) if covered else ()
        return self._families[key]

    def _outside(self, phase: Phase) -> Iterator[CellGroup]:
        """Yields a group for each observation of each operator from outside."""
        for name, operator in self.shutdown.topology.operators.items():
            for target, seen in self.scenario.observations_of(phase.phase, name).items():
                expected = self.scenario.expected_outside(phase, self.verifier.choices, name, target)
                for family in of_versions(seen.families, operator.versions):
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
        """Returns each vantage point's kind, valid in all phases: the scopes that cover it, and its surroundings."""
        if not self._always:
            classes = self.verifier.classes
            self._always = [
                (tuple([scope.covers(vantage) for scope in self._scopes]), classes.surroundings(vantage))
                for vantage in self.shutdown.network.vantages
            ]
        return self._always

    def _distinguishing(self) -> list[Scope]:
        scenario = self.scenario
        scopes = [probe.from_ for probe in scenario.probes.values()]
        for phase in scenario.timeline:
            scopes += [each.who for each in scenario.expectations_of(phase, self.verifier.choices)]
        return list({repr(scope): scope for scope in scopes if scope != Scope()}.values())
