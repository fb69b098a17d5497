"""A running country to explore: policies are put in force and measured on request. Runs in a sandbox."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from shutdownlab.compiler.races import Races, Rival
from shutdownlab.compiler.resolvers import operators_late
from shutdownlab.control.processes import ControlError
from shutdownlab.country.assembly import build
from shutdownlab.country.breakage import in_one_line
from shutdownlab.country.breaking import BeyondMending, Breaker
from shutdownlab.country.country import Country
from shutdownlab.country.examination import take_faults
from shutdownlab.country.lab_plan import LabPlan
from shutdownlab.country.plan import Plan
from shutdownlab.country.racing import Racing
from shutdownlab.country.routes_abroad import routes_abroad
from shutdownlab.country.starvation import Starvation
from shutdownlab.measure.controls import Control, controls_of, excused_by
from shutdownlab.measure.requests import over_its_lines, request_at
from shutdownlab.measure.task import Race
from shutdownlab.model.faults import AUTHORITY, DeclaredFault
from shutdownlab.model.lookup import family_of, target_named, vantage_point
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Family, Surroundings
from shutdownlab.model.routing import route_changes
from shutdownlab.model.scenario import Mode, breakages
from shutdownlab.model.topology import Vantage
from shutdownlab.protocol.messages import Failure
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.protocol.session import Measure, ProbeAnswer, Tried
from shutdownlab.results import measurement as ooni
from shutdownlab.verifier.outages import Blamed, Outages


class Session:
    """A country that is up, with the policies of its plan in force."""

    def __init__(
        self, plan: LabPlan, tell: Callable[[str], None] = lambda _: None, breaker: Breaker | None = None
    ) -> None:
        """Builds the country; `tell` is called with each step. Raises what `build` does, and `ControlError`.

        breaker: of a country that is already up, as the plan's phase has left it, to use instead of building one.
        """
        self.files = Path(tempfile.mkdtemp(prefix="shutdownlab-"))  # in the sandbox: deleted with it
        loaded = plan.loaded
        self.plan = plan
        if breaker is None:
            files, brought = self.files, loaded.controllers
            new = Plan(
                loaded.network,
                loaded.apps,
                loaded.profiles,
                files,
                brought,
                datapath=plan.datapath,
                degrades=any(policy.degrade for policy in plan.policies.values()),
                late=operators_late(loaded.network, plan.policies.values()),
            )
            self.breaker = Breaker(build(new, tell), loaded.network)
        else:
            self.breaker = breaker
        self.country: Country = self.breaker.country
        self.phase, self.active = plan.at, plan.active_in(plan.at)
        self.broken: Mapping[str, DeclaredFault] = self._broken_in(plan.at, self._in_force())
        """The faults present now, by name: the scenario's, and those that policies cause."""
        self._by_hand = False
        """Whether policies or faults differ from those of a phase."""
        self._obeyed: dict[str, tuple[str, ...]] = {}
        """By operator, the policies of the last order that reached it."""
        self.complaints: list[str] = []
        """Complaints that did not prevent anything."""
        if breaker is None and (self.active or self.broken):
            self.put_in_force(self.phase or "", self.active)

    def put_in_force(
        self, phase: str, policies: Sequence[str], moved: bool = True, faults: Sequence[str] | None = None
    ) -> None:
        """Puts exactly these policies in force; returns once every switch and box has confirmed it.

        moved: time has jumped to the phase: its faults are caused and resolvers' caches flushed. faults: those to cause
        instead. Raises `ControlError`, also if damage cannot be undone in this country.
        """
        plan, scenario = self.plan, self.plan.scenario
        named = {name: plan.policies[name] for name in policies}
        known = scenario is not None and any(each.phase == phase for each in scenario.timeline)
        local_time = scenario.local_time(scenario.phase(phase)) if scenario and known else None
        own = self._broken_in(phase if known else None, named)
        wanted = self._wanted(own if moved else None, named, faults)
        if moved or faults is not None or wanted.keys() != self.broken.keys():
            self._break(wanted, phase)
        self.phase, self.active = phase if known else None, tuple(policies)
        self._by_hand = not known or set(policies) != set(plan.active_in(phase)) or self.broken.keys() != own.keys()
        self._obeyed |= dict.fromkeys(self._hearing(), self.active)
        obey = scenario.phase(phase).obey if scenario and known else {}
        confirmed = self.country.authority.order(
            phase, named, plan.mode, {}, local_time=local_time, damage=self.country.damage,
            otherwise={operator: self._held(operator) for operator in obey},
        )  # fmt: skip
        self.breaker.carry_out(self._held, self.plan.loaded.apps)
        self.complaints += [f"{m.where}: {in_one_line(m.text)}" for m in confirmed if isinstance(m, Failure)]
        self.country.mark(
            f"by hand: {', '.join(policies) or 'no policy'} in force{f', as in {phase}' if known else ''}"
        )
        if moved:
            self.country.jump()

    def _held(self, operator: str) -> Mapping[str, Policy]:
        """Returns the policies that an operator carries out: those of the last order that reached it."""
        scenario, choices = self.plan.scenario, self.plan.choices
        if self.broken and self._by_hand:
            return {name: self.plan.policies[name] for name in self._obeyed.get(operator, ())}
        if scenario is None or self.phase is None:
            return self._in_force()
        phase = scenario.phase(self.phase)
        if phase.faults and not self._by_hand:
            return scenario.held(self.phase, choices, operator)
        return scenario.carried_out(phase, choices, operator, self._in_force())

    def _hearing(self) -> Iterator[str]:
        """Yields the operators whose switches the latest order reaches."""
        lone = {name for fault in self.broken.values() for name in fault.lone_controllers}
        for operator in self.plan.loaded.topology.operators:
            commander = operator if self.plan.mode is Mode.OPERATORS else AUTHORITY
            if lone.isdisjoint({AUTHORITY, commander}):
                yield operator

    def _in_force(self) -> dict[str, Policy]:
        return {name: self.plan.policies[name] for name in self.active}

    def _wanted(
        self, own: Mapping[str, DeclaredFault] | None, active: Mapping[str, Policy], faults: Sequence[str] | None
    ) -> dict[str, DeclaredFault]:
        """Returns the faults to cause: those named, else the phase's `own`, else the scenario's that are present.

        Adds the faults that the `active` policies cause; `own` already contains them.
        """
        declared = self.plan.scenario.faults if self.plan.scenario is not None else {}
        if faults is None and own is not None:
            return dict(own)
        there = [name for name in self.broken if name in declared] if faults is None else faults
        return {name: declared[name] for name in there} | breakages(active)

    def _broken_in(self, phase: str | None, active: Mapping[str, Policy]) -> dict[str, DeclaredFault]:
        """Returns the faults of a phase while the `active` policies are in force."""
        scenario = self.plan.scenario
        if scenario is None or phase is None:
            return breakages(active)
        return scenario.broken(scenario.phase(phase), self.plan.choices, active)

    def _break(self, faults: Mapping[str, DeclaredFault], phase: str) -> None:
        try:
            self.breaker.become(faults)
        except BeyondMending as error:
            raise ControlError(f"{error}: start another lab, --at {phase}") from error
        self.broken = faults

    def routes(self) -> dict[str, tuple[str, ...]]:
        """Returns the prefixes within the operators' to which each transit router has a route. Raises `OSError`."""
        return routes_abroad(self.plan.loaded.network, self.country.services, self.country.damage.routers)

    def faults(self) -> Iterator[str]:
        """Yields faults and complaints since the last call; restarts dead DPI boxes."""
        complaints, self.complaints = self.complaints, []
        yield from complaints
        yield from take_faults(self.country)

    def measure(
        self,
        asked: Sequence[Measure],
        wanted: Callable[[], bool] = lambda: True,
        tried: Callable[[Tried], None] = lambda _: None,
    ) -> Iterator[ProbeAnswer]:
        """Measures all of them at once; yields each once its outcome is certain. Raises `BadInput` for unknown names.

        wanted: polled; once it returns False, the rest is given up. tried: called for each whose first try failed.
        """

        def failed(request: ProbeRequest, found: Measurement) -> None:
            tried(Tried(int(request.id), found.outcome.value, found.failure))

        hopeless = {str(each.number) for each in asked if each.hopeless}
        plan, network = self.plan, self.plan.loaded.network
        todo: dict[str, list[ProbeRequest]] = defaultdict(list)
        places: dict[str, Vantage] = {}
        rivals: dict[str, Rival | None] = {}
        racers, races = self.country.racers if self.active else {}, Races(network)
        controls: dict[str, tuple[Control, ...]] = {}
        withdrawn = route_changes(network, self._held)
        outages = Outages(network, self.broken, plan.loaded.profiles, self._held, withdrawn)
        excused: dict[str, dict[str, Blamed]] = {}
        for each in asked:
            vantage = vantage_point(network.topology, each.vantage, "vantage")
            name, probe = target_named(network, plan.probes, each.target, "target")
            family = family_of(network, vantage, probe, each.family, tuple(Family), "family")
            limit = plan.throttled_below
            at = Surroundings(network, vantage, family, self.phase or "", limit, plan.folder)
            request = replace(request_at(probe, name, at, str(self.country.trusted)), id=str(each.number))
            request = over_its_lines(request, probe, at, self._held, plan.loaded.apps)
            places[request.id], controls[request.id] = vantage, controls_of(probe, outages.near(at), request)
            if vantage.id.operator in racers:
                rivals[request.id] = races.rival(probe, outages.near(at), self._held(vantage.id.operator))
            excused[request.id] = excused_by(controls[request.id], outages.blamed(probe, at))
            todo[network.subscriber(vantage.id).name].append(request)
        self.country.watch.learn()
        with Starvation(self.country.carriers, self.country.keepers) as starvation:
            racing = Racing(racers, starvation, self.country.aside)

            def go_on() -> bool:
                starvation.look()
                return wanted()

            def outrun(asked: str, began: float, ended: float) -> Race:
                return racing.of(places[asked].id.operator, rivals.get(asked), began, ended)

            answers = self.country.agents.run(
                todo, hopeless, controls, excused, go_on, failed, starvation.between, starvation.held_up, outrun
            )
            for _, request, found in answers:
                if found.taken_away:
                    blamed = excused[request.id][found.controls[0].name]
                    outcome, failure = blamed.excuses(found.outcome, found.failure)
                    found = replace(found, outcome=outcome, failure=failure)
                record = self._record(places[request.id], request, found)
                yield ProbeAnswer(
                    int(request.id), found.outcome.value, found.failure, found.runtime,
                    found.certainty, found.value, found.unit, record,
                )  # fmt: skip

    def _record(self, vantage: Vantage, request: ProbeRequest, found: Measurement) -> dict[str, Any]:
        """Returns a measurement in OONI's format, at the scenario's time if a phase of it is in force."""
        topology, scenario = self.plan.loaded.topology, self.plan.scenario
        at = scenario.phase(self.phase).at if scenario and self.phase else datetime.fromtimestamp(found.started, UTC)
        operator = topology.operators[vantage.id.operator]
        annotations = {"region": vantage.id.region, "subscriber": vantage.id.group, "policies": ", ".join(self.active)}
        annotations |= {"scenario": scenario.name} if scenario else {"topology": topology.name}
        annotations |= {"phase": self.phase} if self.phase else {}
        context = ooni.Context(
            asn=operator.asn, cc=topology.country, network_name=operator.title, run=f"lab {self.plan.title}",
            began=at, at=at, software_version=version_of("shutdownlab"), annotations=annotations,
        )  # fmt: skip
        named = replace(request, id=f"{vantage.id} {request.name} {request.family}")
        plain: dict[str, Any] = json.loads(json.dumps(ooni.record(named, found, context), default=_plain))
        return plain


def _plain(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
