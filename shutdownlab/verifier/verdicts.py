"""Predicts the outcome of each cell of a phase, with one measurement per class of cells that cannot differ. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pkgutil import resolve_name
from typing import Any, Final, TypeAlias

from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.library import Shutdown
from shutdownlab.model.faults import NO_DAMAGE, Damage, DeclaredFault, damage_of
from shutdownlab.model.listening import Servers
from shutdownlab.model.observation import UNREACHABLE, WRONG_ORIGIN
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Probe, Surroundings, of_versions
from shutdownlab.model.routing import route_changes
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.model.topology import Vantage
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import StepFailed
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.chance import Chances, deciding
from shutdownlab.verifier.classes import CellClass, Classes
from shutdownlab.verifier.equipment import DataPlane, ModelledCountry
from shutdownlab.verifier.line import ModelledLine, Undecided, resolver_of
from shutdownlab.verifier.outages import Blamed, Outages
from shutdownlab.verifier.remembering import NOTHING, Left, LeftBlock
from shutdownlab.verifier.wire import EPHEMERAL, Seen

_PORTS, _PORTS_EACH = 20_000, 40
"""Client ports, given to measurements in turn; and the most that one measurement uses."""
_MOST_LOST: Final = 0.05
"""Packet loss, as a share, up to which some try of a measurement gets through."""
Follow: TypeAlias = Callable[[ModelledLine, Any], Conclusion]


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """A cell's predicted outcome.

    failure: OONI's name for the failure, or None.
    ways: if the outcome is not certain, every possible one with its failure.
    conditions: what the outcome then depends on, in words.
    """

    outcome: Outcome
    failure: str | None = None
    ways: tuple[tuple[Outcome, str | None], ...] = ()
    conditions: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The failure; if undecided, the possible outcomes and what they depend on."""
        if self.outcome is not Outcome.UNKNOWN:
            return self.failure
        could = " or ".join(f"{outcome}{f' ({failure})' if failure else ''}" for outcome, failure in self.ways)
        return f"undecided: {could}{': ' if could else ''}{'; '.join(self.conditions)}"


OK: Final = CellVerdict(Outcome.OK)


@cache
def _follow(name: str) -> Follow:
    function: Follow = resolve_name(name)
    return function


class Verifier:
    """Predicts the outcome of any cell of a scenario, under a choice of accounts."""

    def __init__(self, shutdown: Shutdown, choices: Mapping[str, str], equipment: DataPlane | None = None) -> None:
        """`equipment`: another verifier's of the same country, to share its compiled programs."""
        self.shutdown, self.choices = shutdown, dict(choices)
        self.network = shutdown.network
        self.classes = Classes(shutdown, choices)
        self.verdicts: dict[CellClass, CellVerdict] = {}
        """The verdicts of all classes followed so far."""
        self._servers = Servers(shutdown.network)
        self.equipment = equipment or DataPlane(shutdown, AppCatalogue(shutdown.apps))
        self.rules_met: set[str] = set()
        """Names of the DPI rules that have decided a connection."""
        self._countries: dict[str, ModelledCountry] = {}
        self._held: dict[tuple[str, str], Mapping[str, Policy]] = {}
        self._outages: dict[str, Outages] = {}
        self._routes: dict[Damage, Outages] = {}
        self._residues: dict[tuple[object, ...], dict[str, dict[bytes, LeftBlock]]] = {}
        self._ports = 0

    def country(self, phase: Phase) -> ModelledCountry:
        """Returns the country in a phase."""
        if phase.phase not in self._countries:
            scenario = self.shutdown.scenario
            held = partial(self.held, phase)
            damage = damage_of(self.network, self.broken(phase).values()) | self.withdrawn(phase)
            self._countries[phase.phase] = ModelledCountry(self.equipment, held, scenario.local_time(phase), damage)
        return self._countries[phase.phase]

    def held(self, phase: Phase, owner: str) -> Mapping[str, Policy]:
        """Returns the policies that the equipment of an operator, or of the gateway, has rules for."""
        if self.shutdown.scenario.orders_reach(phase, self.choices, owner):
            return self.classes.carried_out(phase, owner)
        key = phase.phase, owner
        if key not in self._held:
            self._held[key] = self.shutdown.scenario.held(self.classes.real(phase), self.choices, owner)
        return self._held[key]

    def outages(self, phase: Phase) -> Outages:
        """Returns what faults and changed routes take away in a phase."""
        if phase.phase not in self._outages:
            broken, withdrawn = self.broken(phase), self.withdrawn(phase)
            held = partial(self.held, phase)
            self._outages[phase.phase] = Outages(self.network, broken, self.shutdown.profiles, held, withdrawn)
        return self._outages[phase.phase]

    def without_routes(self, phase: Phase, probe: Probe, at: Surroundings) -> tuple[str, ...]:
        """Returns the policies that change routes so that a probe lacks what it needs; () if none do.

        Those that suffice alone; if none does, those without which nothing would be lacking; else all.
        """
        changing = self.classes.withdrawing(phase)
        if not changing or all(by.fault for by in self.outages(phase).blamed(probe, at).values()):
            return ()
        alone = tuple(name for name in changing if self._takes_away(phase, {name}, probe, at))
        needed = alone or tuple(n for n in changing if not self._takes_away(phase, {*changing} - {n}, probe, at))
        return needed or changing

    def _takes_away(self, phase: Phase, names: Set[str], probe: Probe, at: Surroundings) -> bool:
        """Whether only the named policies that change routes would take away anything that a probe needs."""

        def held(owner: str) -> dict[str, Policy]:
            return {name: policy for name, policy in self.held(phase, owner).items() if name in names}

        damage = route_changes(self.network, held)
        if damage not in self._routes:
            self._routes[damage] = Outages(self.network, {}, self.shutdown.profiles, held, damage)
        return bool(self._routes[damage].blamed(probe, at))

    def broken(self, phase: Phase) -> dict[str, DeclaredFault]:
        """Returns what faults and policies break in a phase, by their names."""
        return self.shutdown.scenario.broken(phase, self.choices, self.classes.active(phase))

    def withdrawn(self, phase: Phase) -> Damage:
        """Returns the routes that policies have changed in a phase."""
        return route_changes(self.network, partial(self.held, phase)) if self.classes.withdrawing(phase) else NO_DAMAGE

    def verdict(self, phase: Phase, cell: Cell) -> CellVerdict:
        """Returns the verdict of a cell in a phase."""
        if cell.vantage is None:
            seen = self.shutdown.scenario.observations[cell.target]
            if seen.by_origin:
                wrong = self.outages(phase).misplaced(cell.operator, cell.family)
                return CellVerdict(Outcome.BLOCKED, WRONG_ORIGIN) if wrong else OK
            if seen.unaffected:
                if self.classes.breaks(phase) or self.classes.withdrawing(phase):
                    blamed = self.outages(phase).unseen(cell.operator, cell.family)
                    return CellVerdict(*blamed.excuses(Outcome.BLOCKED, UNREACHABLE)) if blamed else OK
                return OK
            return CellVerdict(Outcome.UNKNOWN, conditions=(f"what the observer {seen.observer} sees",))
        key = self.classes.of(phase, cell, cell.vantage)
        if key not in self.verdicts:
            self.verdicts[key] = self.measure(phase, cell, cell.vantage)
        return self.verdicts[key]

    def verdict_and_way(self, phase: Phase, cell: Cell, vantage: Vantage) -> tuple[CellVerdict, ModelledLine | None]:
        """Returns the verdict of a vantage point's cell, and its line with the connections made.

        The line is None if the verdict was known already, or if more than one course was possible.
        """
        key = self.classes.of(phase, cell, vantage)
        if key in self.verdicts:
            return self.verdicts[key], None
        self.verdicts[key], line = self._followed(phase, cell, vantage)
        return self.verdicts[key], line

    def measure(self, phase: Phase, cell: Cell, vantage: Vantage) -> CellVerdict:
        """Follows a cell's packets in every possible course, and returns the verdict."""
        return self._followed(phase, cell, vantage)[0]

    def _followed(self, phase: Phase, cell: Cell, vantage: Vantage) -> tuple[CellVerdict, ModelledLine | None]:
        """Returns a cell's verdict, and its line if only one course was possible."""
        probe = self.shutdown.scenario.probes[cell.target]
        if not probe.follows:
            return CellVerdict(Outcome.UNKNOWN, conditions=(f"what a probe of the kind {probe.test} finds",)), None
        brought = self.shutdown.controllers.keys() & self.classes.owners(cell.target, vantage)
        if brought and self.classes.active(phase):
            condition = f"what {', '.join(sorted(brought))}'s own controller makes of its orders"
            return CellVerdict(Outcome.UNKNOWN, conditions=(condition,)), None
        chances, line, left = Chances(), None, self._left(phase, cell, vantage)

        def play() -> tuple[Outcome, str | None]:
            nonlocal line
            line, concluded = self.line(phase, cell, vantage, chances, left)
            return concluded

        try:
            played = list(chances.every(play))
        except Undecided as undecided:
            return CellVerdict(Outcome.UNKNOWN, conditions=(str(undecided),)), None
        found = tuple(dict.fromkeys(outcome for _, outcome in played))
        if len(found) == 1:
            outcome, failure = found[0]
            return CellVerdict(outcome, failure), line if len(played) == 1 else None
        return CellVerdict(Outcome.UNKNOWN, ways=found, conditions=deciding(played)), None

    def _left(self, phase: Phase, cell: Cell, vantage: Vantage) -> dict[str, Left]:
        """Returns the residual blocks that other measurements of a vantage point may have left, by operator."""
        found: dict[str, dict[bytes, LeftBlock]] = {}
        if not self.country(phase).remembering:
            return {}
        for before in self.classes.just_before(phase):
            for name, probe in self.shutdown.scenario.probes_of(self.classes.real(before), vantage).items():
                for family in of_versions(probe.families, vantage.versions):
                    if (before.phase, name, family) == (phase.phase, cell.target, cell.family):
                        continue
                    other = Cell(before.phase, cell.operator, vantage, name, family)
                    for operator, left in self._leaves(before, other, vantage).items():
                        if self.country(before).box(operator) is self.country(phase).box(operator):
                            found[operator] = {**left, **found.get(operator, {})}
        return dict(found)

    def _leaves(self, phase: Phase, cell: Cell, vantage: Vantage) -> dict[str, dict[bytes, LeftBlock]]:
        """Returns the residual blocks that a measurement may itself leave in boxes, by operator."""
        key = phase.phase, vantage.id, cell.target, cell.family
        if key not in self._residues:
            found: dict[str, dict[bytes, LeftBlock]] = {}
            country, chances = self.country(phase), Chances()

            def play() -> None:
                seen: list[Seen] = []
                with suppress(Undecided):
                    line, _ = self.line(phase, cell, vantage, chances)
                    seen = [seen for wire in line.wires for seen in wire.seen]
                for operator in self.classes.owners(cell.target, vantage):
                    decisions = [s.decision for s in seen if s.operator == operator and s.decision.residual is not None]
                    at_switch = any(decision.flow_rule == "drop" for decision in decisions)
                    for block in country.box(operator).leaves:
                        condition = f"whether {cell.target} was measured there less than {block.seconds:g} s before"
                        found.setdefault(operator, {})[block.key] = LeftBlock(block, condition, at_switch)

            for _ in chances.every(play):
                pass
            self._residues[key] = found
        return self._residues[key]

    def line(
        self, phase: Phase, cell: Cell, vantage: Vantage, chances: Chances, left: Mapping[str, Left] | None = None
    ) -> tuple[ModelledLine, tuple[Outcome, str | None]]:
        """Follows one possible course of a measurement; returns its line, and the outcome with its failure.

        left: residual blocks that earlier measurements may have left, by operator.

        Raises `Undecided` if the outcome depends on something that the model does not have.
        """
        scenario = self.shutdown.scenario
        probe, country = scenario.probes[cell.target], self.country(phase)
        for operator in self.classes.owners(cell.target, vantage):
            country.box(operator).begin(chances, (left or {}).get(operator, NOTHING))
        at = Surroundings(self.network, vantage, cell.family, phase.phase, scenario.throttled_below)
        self._ports = (self._ports + _PORTS_EACH) % _PORTS
        resolver = resolver_of(at, probe.resolver_address)
        line = ModelledLine(country, self._servers, at, resolver, chances, EPHEMERAL + self._ports)
        line.echoes_besides = self.classes.echoes(phase, cell, vantage)[1]
        worse = country.line_of(vantage)
        if worse.policies and worse.loss > _MOST_LOST:
            raise Undecided(f"how many packets get over a line that loses {100 * worse.loss:g} % of them")
        try:
            concluded = _follow(probe.follows)(line, probe.ask(at))
        except StepFailed as failed:
            concluded = Conclusion(Outcome.BLOCKED, failed.failure)
        if any(country.box(operator).has_looked for operator in self.classes.owners(cell.target, vantage)):
            raise Undecided("how long, how random and how soon a connection's first packets are")
        if self.classes.breaks(phase):
            concluded = self._with_faults(phase, probe, line, concluded)
        self.rules_met.update(seen.decision.rule or "" for wire in line.wires for seen in wire.seen)
        return line, (concluded.outcome, concluded.failure)

    def _with_faults(self, phase: Phase, probe: Probe, line: ModelledLine, found: Conclusion) -> Conclusion:
        """Returns the conclusion with faults taken into account: down if one took away what the measurement failed by.

        Raises `Undecided` if it depends on a DPI box without its controller.
        """
        on_path = {name for name, profile in self.shutdown.profiles.items() if profile.placement == "on-path"}
        seen = [seen for wire in line.wires for seen in wire.seen if seen.decision.flow_rule]
        boxes = {s.operator for s in seen if s.decision.flow_rule == "meter" or s.operator in on_path}
        if alone := boxes & self.shutdown.scenario.lone_controllers(phase, self.choices):
            raise Undecided(f"what the DPI box of {', '.join(sorted(alone))} does without its controller")
        if found.outcome.got_through:
            return found
        blamed = self.outages(phase).blamed(probe, line.at)
        needs = line.failed_by(probe.looked_up(line.at), found.failure)
        by = next((blamed[need] for need in needs if need in blamed), Blamed())
        return Conclusion(*by.excuses(found.outcome, found.failure))
