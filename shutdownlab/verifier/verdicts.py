"""What each cell of a phase would come out as: one measurement a class of cells that cannot differ. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pkgutil import resolve_name
from typing import Any, TypeAlias

from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.library import Shutdown
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Surroundings
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.topology import Vantage
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import StepFailed
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.chance import Chances, deciding
from shutdownlab.verifier.classes import CellClass, Classes
from shutdownlab.verifier.line import ModelledLine, Undecided, resolver_of
from shutdownlab.verifier.services import Servers
from shutdownlab.verifier.ways import Ways
from shutdownlab.verifier.wire import EPHEMERAL, DataPlane, ModelledCountry

_PORTS, _PORTS_EACH = 20_000, 40
"""Of clients, given to one measurement after the other; and how many a measurement takes at most."""
Follow: TypeAlias = Callable[[ModelledLine, Any], Conclusion]


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """What a cell comes out as. ways: every outcome it could have, with its failure, where that is not certain.

    conditions: on what that hangs.
    """

    outcome: Outcome
    failure: str | None = None
    ways: tuple[tuple[Outcome, str | None], ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The failure; of what cannot be decided, what it could be and on what that hangs."""
        if self.outcome is not Outcome.UNKNOWN:
            return self.failure
        could = " or ".join(f"{outcome}{f' ({failure})' if failure else ''}" for outcome, failure in self.ways)
        return f"undecided: {could}{': ' if could else ''}{'; '.join(self.conditions)}"


@cache
def _follow(name: str) -> Follow:
    function: Follow = resolve_name(name)
    return function


class Verifier:
    """Gives the verdict of any cell of a scenario, under a choice of accounts."""

    def __init__(self, shutdown: Shutdown, choices: Mapping[str, str]) -> None:
        self.shutdown, self.choices = shutdown, dict(choices)
        self.network = shutdown.network
        self.classes = Classes(shutdown, choices)
        self.verdicts: dict[CellClass, CellVerdict] = {}
        """Of every class that was followed so far."""
        self._servers = Servers(shutdown.network)
        self._equipment = DataPlane(shutdown, Ways(shutdown.network), AppCatalogue(shutdown.apps))
        self.rules_met: set[str] = set()
        """The rules of DPI boxes that have decided something."""
        self._countries: dict[str, ModelledCountry] = {}
        self._ports = 0

    def imagine(self, phase: Phase, active: Mapping[str, Policy]) -> Phase:
        """A phase like this one, to be asked about the same cells, while other policies are in force."""
        return self.classes.imagine(phase, active)

    def country(self, phase: Phase) -> ModelledCountry:
        """The country in a phase."""
        if phase.phase not in self._countries:
            local_time = self.shutdown.scenario.local_time(phase)
            self._countries[phase.phase] = ModelledCountry(self._equipment, self.classes.active(phase), local_time)
        return self._countries[phase.phase]

    def verdict(self, phase: Phase, cell: Cell) -> CellVerdict:
        """What a cell of the phase comes out as."""
        if cell.vantage is None:
            seen = self.shutdown.scenario.observations[cell.target]
            if seen.unaffected:
                return CellVerdict(Outcome.OK)
            return CellVerdict(Outcome.UNKNOWN, conditions=(f"what the observer {seen.observer} sees",))
        key = self.classes.of(phase, cell, cell.vantage)
        if key not in self.verdicts:
            self.verdicts[key] = self.measure(phase, cell, cell.vantage)
        return self.verdicts[key]

    def measure(self, phase: Phase, cell: Cell, vantage: Vantage) -> CellVerdict:
        """Follow one cell's packets, in every way they could go."""
        probe = self.shutdown.scenario.probes[cell.target]
        if not probe.follows:
            return CellVerdict(Outcome.UNKNOWN, conditions=(f"what a probe of the kind {probe.test} finds",))
        brought = self.shutdown.controllers.keys() & self.classes.owners(cell.target, vantage)
        if brought and self.classes.active(phase):
            condition = f"what {', '.join(sorted(brought))}'s own controller makes of its orders"
            return CellVerdict(Outcome.UNKNOWN, conditions=(condition,))
        chances = Chances()
        try:
            played = list(chances.every(lambda: self.line(phase, cell, vantage, chances)[1]))
        except Undecided as undecided:
            return CellVerdict(Outcome.UNKNOWN, conditions=(str(undecided),))
        found = tuple(dict.fromkeys(outcome for _, outcome in played))
        if len(found) == 1:
            outcome, failure = found[0]
            return CellVerdict(outcome, failure)
        return CellVerdict(Outcome.UNKNOWN, ways=found, conditions=deciding(played))

    def line(
        self, phase: Phase, cell: Cell, vantage: Vantage, chances: Chances
    ) -> tuple[ModelledLine, tuple[Outcome, str | None]]:
        """One way that a cell's measurement could go: the line with all its packets, and what is concluded."""
        scenario = self.shutdown.scenario
        probe, country = scenario.probes[cell.target], self.country(phase)
        for operator in self.classes.owners(cell.target, vantage):
            country.box(operator).begin(chances)
        at = Surroundings(self.network, vantage, cell.family, phase.phase, scenario.throttled_below)
        self._ports = (self._ports + _PORTS_EACH) % _PORTS
        resolver = resolver_of(at, probe.resolver_address)
        line = ModelledLine(country, self._servers, at, resolver, chances, EPHEMERAL + self._ports)
        try:
            concluded = _follow(probe.follows)(line, probe.ask(at))
        except StepFailed as failed:
            concluded = Conclusion(Outcome.BLOCKED, failed.failure)
        for operator in self.classes.owners(cell.target, vantage):
            if country.box(operator).has_looked:
                raise Undecided("how long, how random and how soon a connection's first packets are")
        self.rules_met.update(seen.decision.rule or "" for wire in line.wires for seen in wire.seen)
        return line, (concluded.outcome, concluded.failure)
