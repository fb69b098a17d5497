"""Which cells a phase has: what is measured, from where, over which address family. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Family, Phase
from shutdownlab.model.topology import Vantage


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of results: a phase, who is measured, by what, and an address family.

    vantage: where the probe named `target` is made; None where `target` is an observation of the operator from outside.
    """

    phase: str
    operator: str
    vantage: Vantage | None
    target: str
    family: Family

    @property
    def id(self) -> str:
        where = self.vantage.id if self.vantage else self.operator
        return f"{self.phase} {where} {self.target} {self.family}"


def cells_of(shutdown: Shutdown, phase: Phase) -> Iterator[Cell]:
    """Every cell of a phase: by vantage point, in the order of the probes; then what is seen from outside."""
    for vantage in shutdown.network.vantages:
        for name, probe in shutdown.scenario.probes_of(phase.phase, vantage).items():
            for family in probe.families:
                yield Cell(phase.phase, vantage.id.operator, vantage, name, family)
    for operator in shutdown.topology.operators:
        for name, observation in shutdown.scenario.observations_of(phase.phase, operator).items():
            for family in observation.families:
                yield Cell(phase.phase, operator, None, name, family)
