"""Which cells a phase has: what is measured, from where, over which address family. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Family, Phase
from shutdownlab.model.topology import Vantage


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of results: a phase, a vantage point, a probe and an address family."""

    phase: str
    vantage: Vantage
    target: str
    family: Family

    @property
    def id(self) -> str:
        return f"{self.phase} {self.vantage.id} {self.target} {self.family}"


def cells_of(shutdown: Shutdown, phase: Phase) -> Iterator[Cell]:
    """Every cell of a phase, in the order of the topology and of the scenario's probes."""
    for vantage in shutdown.network.vantages:
        for name, probe in shutdown.scenario.probes_of(phase.phase, vantage).items():
            for family in probe.families:
                yield Cell(phase.phase, vantage, name, family)
