"""The cells of a phase, the expectation for each, and the result of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shutdownlab.library import Shutdown
from shutdownlab.model.probe import of_versions
from shutdownlab.model.scenario import Expectation, Family, Phase
from shutdownlab.model.topology import Vantage
from shutdownlab.protocol.probing import Measurement
from shutdownlab.results.result import Result


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of results: a phase, a vantage point or operator, a target and an address family.

    vantage: where the probe `target` runs; None if `target` is an observation of the operator from outside.
    """

    phase: str
    operator: str
    vantage: Vantage | None
    target: str
    family: Family

    @property
    def without_phase(self) -> tuple[str, str, Family]:
        """The cell's key without its phase: equal for the same cell in every phase."""
        return str(self.vantage.id) if self.vantage else self.operator, self.target, self.family

    @property
    def id(self) -> str:
        where = self.vantage.id if self.vantage else self.operator
        return f"{self.phase} {where} {self.target} {self.family}"


def cells_of(shutdown: Shutdown, phase: Phase) -> Iterator[Cell]:
    """Yields the cells of a phase: by vantage point, in the order of the probes; then observations from outside."""
    for vantage in shutdown.network.vantages:
        for name, probe in shutdown.scenario.probes_of(phase.phase, vantage).items():
            for family in of_versions(probe.families, vantage.versions):
                yield Cell(phase.phase, vantage.id.operator, vantage, name, family)
    for operator, holder in shutdown.topology.operators.items():
        for name, observation in shutdown.scenario.observations_of(phase.phase, operator).items():
            for family in of_versions(observation.families, holder.versions):
                yield Cell(phase.phase, operator, None, name, family)


def expected_of(shutdown: Shutdown, choices: Mapping[str, str], phase: Phase, cell: Cell) -> Expectation | None:
    """Returns the expectation that applies to a cell, or None."""
    scenario = shutdown.scenario
    if cell.vantage is None:
        return scenario.expected_outside(phase, choices, cell.operator, cell.target)
    return scenario.expected(phase, choices, cell.vantage, cell.target)


def result_of(
    shutdown: Shutdown, phase: Phase, cell: Cell, measurement: Measurement, fact: Expectation | None
) -> Result:
    """Returns the result of a cell: its measurement beside what was expected (`fact`)."""
    vantage = cell.vantage
    measured = shutdown.scenario.probes if vantage else shutdown.scenario.observations
    weight = vantage.weight if vantage else shutdown.topology.operators[cell.operator].subscribers
    return Result(
        phase=phase.phase, time=phase.at, operator=cell.operator, region=vantage.id.region if vantage else "",
        subscriber=vantage.id.group if vantage else "", target=cell.target, family=cell.family,
        outcome=measurement.outcome, failure=measurement.failure, expected=fact.outcome if fact else None,
        access=vantage.access if vantage else "", class_=vantage.class_ if vantage else "", weight=weight,
        value=measurement.value, unit=measurement.unit, tries=measurement.passes, certainty=measurement.certainty,
        column=measured[cell.target].column or cell.target, source=fact.source if fact else "",
    )  # fmt: skip
