"""Classes of cells that cannot differ: a class has everything in it that could make a difference to packets. Pure.

Two vantage points see the same of a host, in any phase, if their operators have DPI boxes of the same profile and the
same kind of links out of the country, the same policies concern both, and both are equally near to the host. There are
many phases and vantage points, but few classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final, TypeAlias

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.prefix_table import PrefixTable
from shutdownlab.library import Shutdown
from shutdownlab.model.network import Hosted, Node, Role
from shutdownlab.model.policy import Means, Point, Policy
from shutdownlab.model.probe import Probe, Surroundings, of_versions
from shutdownlab.model.routing import systems
from shutdownlab.model.scenario import Family, Phase
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Vantage, VantageId
from shutdownlab.results.cells import Cell
from shutdownlab.verifier.endpoints import Endpoints, conditions_of
from shutdownlab.verifier.remembering import may_remember

CellClass: TypeAlias = tuple[object, ...]
_Near: TypeAlias = tuple[tuple[int, int], ...]
"""For each host in the country that a probe talks to: how near it is (`_nearness`), and its vantage point's index."""

NO_NAMES: Final[Mapping[str, str]] = {}
NO_POLICIES: Final[Mapping[str, Policy]] = {}


class Classes:
    """Computes the class of any cell of a scenario, under a choice of accounts.

    by_name: also distinguishes policies with the same effect by their names, for callers that report names.
    """

    def __init__(self, shutdown: Shutdown, choices: Mapping[str, str], *, by_name: bool = False) -> None:
        self.shutdown, self.choices, self.by_name = shutdown, dict(choices), by_name
        self._network = shutdown.network
        self._index: dict[VantageId, int] = {v.id: place for place, v in enumerate(self._network.vantages)}
        named = PrefixTable(prefixes_named(shutdown))
        self._distinguished = _within_operators(shutdown, named)
        self._endpoints = Endpoints(shutdown, named, apart=by_name)
        self._numbers: dict[object, int] = {}
        self._situations: dict[str, list[int]] = {}
        self._active: dict[str, dict[str, Policy]] = {}
        self._kept: dict[str, dict[str, Policy]] = {}
        self._real: dict[str, str] = {}
        self._known: dict[str, Policy] = dict(shutdown.scenario.policies)
        self._hosts: dict[str, tuple[Node, ...]] = {}
        self._near: dict[tuple[str, Family, VantageId], tuple[_Near, int]] = {}
        self._timed: dict[str, bool] = {}
        self._effects: dict[str, object] = {}
        self._versions: dict[str, str] = {}
        self._errands: dict[VantageId, _Near] = {}
        self._breaks: dict[str, bool] = {}
        self._withdrawing: dict[str, tuple[str, ...]] = {}

    def active(self, phase: Phase) -> dict[str, Policy]:
        """The policies in force in a phase."""
        if phase.phase not in self._active:
            self._active[phase.phase] = self.shutdown.scenario.active(phase.phase, self.choices)
        return self._active[phase.phase]

    def anywhere(self, phase: Phase) -> dict[str, Policy]:
        """The policies in force in a phase, and those that some operator still carries out after their end."""
        kept = dict.fromkeys(name for how in phase.obey.values() for name in how.keeps)  # in a stable order
        known = {**self.shutdown.scenario.policies, **self._kept.get(phase.phase, {})}
        return self.active(phase) | {name: known[name] for name in kept}

    def carried_out(self, phase: Phase, owner: str) -> dict[str, Policy]:
        """The policies that an operator, or the `gateway`, carries out in a phase whose orders it receives."""
        scenario, kept = self.shutdown.scenario, self._kept.get(phase.phase, {})
        return scenario.carried_out(phase, self.choices, owner, self.active(phase), kept)

    def imagine(
        self,
        phase: Phase,
        active: Mapping[str, Policy],
        versions: Mapping[str, str] = NO_NAMES,
        renamed: Mapping[str, str] = NO_NAMES,
        kept: Mapping[str, Policy] = NO_POLICIES,
    ) -> Phase:
        """Returns a copy of a phase with other policies in force.

        active: the policies, by name; one that is not the scenario's needs a name of its own.
        versions: for policies that differ from one of the scenario's only in whom they concern, that one's name.
        renamed: the new names of policies that take the place of others, by these; operators obey them as the others.
        kept: those of them that are no longer in force, but that operators still carry out, by their new names.
        """
        self._versions |= versions
        obey = {operator: how.renamed(renamed) for operator, how in phase.obey.items()} if renamed else phase.obey
        named = ", ".join([*active, *(f"{name} kept" for name in kept)])
        imagined = phase.model_copy(update={"phase": f"{phase.phase} with {named}", "obey": obey})
        self._active[imagined.phase] = dict(active)
        self._kept[imagined.phase] = dict(kept)
        for name, policy in (*active.items(), *kept.items()):
            self._known.setdefault(name, policy)
        self._real[imagined.phase] = self.real(phase)
        return imagined

    def real(self, phase: Phase) -> str:
        """Returns the name of the scenario's phase that an imagined phase is a copy of, or a phase's own name."""
        return self._real.get(phase.phase, phase.phase)

    def of(self, phase: Phase, cell: Cell, vantage: Vantage) -> CellClass:
        """Returns the class of a cell measured from a vantage point.

        If anything is broken or routes are changed in the phase, each vantage point has classes of its own.
        """
        if self.breaks(phase) or (phase.obey and self.withdrawing(phase)):
            return phase.phase, cell.target, cell.family, vantage.id
        kind: CellClass = self._unlike(phase, cell, vantage)
        if self._network.instances:  # which server has an anycast address depends on the operator's BGP neighbours
            kind = vantage.id.operator, kind
        if withdrawing := self.withdrawing(phase):
            kind = withdrawing, vantage.id, kind
        return (kind, vantage.id, *self._measured(phase, vantage)) if self.remembers else kind

    def likeness(self, phase: Phase) -> object:
        """Returns a key that is equal for phases in which every cell has the same class."""
        apart = self.remembers or self._counting or self.breaks(phase) or self.withdrawing(phase)
        return phase.phase if apart or self.is_timed(phase) else tuple(self._of_phase(phase))

    def site(self, hosted: Hosted) -> object:
        """Returns a key for a web site abroad that is equal for sites that cannot differ while nothing is broken."""
        return self._endpoints.site(hosted)

    def treats_sites_alike(self, phase: Phase) -> bool:
        """Whether `site` is valid in a phase: only the scenario's policies are in force, without breakage or routes."""
        known = self.shutdown.scenario.policies
        own = all(known.get(name) is policy for name, policy in self.active(phase).items())
        return own and not self.breaks(phase) and not self.withdrawing(phase)

    def just_before(self, phase: Phase) -> tuple[Phase, ...]:
        """Returns a phase and the one before it, if any: a box whose rules do not change keeps its state in between."""
        timeline, real = self.shutdown.scenario.timeline, self.real(phase)
        place = next((place for place, each in enumerate(timeline) if each.phase == real), 0)
        return (phase, timeline[place - 1]) if place else (phase,)

    def _measured(self, phase: Phase, vantage: Vantage) -> Iterator[object]:
        """Yields what may leave residual blocks at a vantage point: probes and policies of this and the last phase."""
        for each in self.just_before(phase):
            yield tuple(self.shutdown.scenario.probes_of(self.real(each), vantage))
            situation = self._of_phase(each)[self._index[vantage.id]]
            yield each.phase if self.breaks(each) or self.is_timed(each) else situation
            yield self.withdrawing(each)

    @cached_property
    def remembers(self) -> bool:
        """Whether residual blocks may make a probe's outcome depend on other measurements at its vantage point."""
        return may_remember(self.shutdown)

    def breaks(self, phase: Phase) -> bool:
        """Whether anything may be broken in a phase, by a fault or by order."""
        if phase.phase not in self._breaks:
            ordered = any(policy.breakage for policy in self.active(phase).values())
            self._breaks[phase.phase] = bool(phase.faults) or ordered
        return self._breaks[phase.phase]

    def withdrawing(self, phase: Phase) -> tuple[str, ...]:
        """Returns the names of the policies that change routes, null-routing included.

        They are those in force anywhere in the phase, and earlier ones that an operator still carries out because a
        fault kept it from receiving the order to end them.
        """
        if phase.phase not in self._withdrawing:
            self._withdrawing[phase.phase] = self._withdrawing_in(phase)
        return self._withdrawing[phase.phase]

    def _withdrawing_in(self, phase: Phase) -> tuple[str, ...]:
        found = dict(self.anywhere(phase))
        scenario = self.shutdown.scenario
        for operator in self.shutdown.topology.operators if phase.faults else ():
            if not scenario.orders_reach(phase, self.choices, operator):
                found |= scenario.held(self.real(phase), self.choices, operator)
        return tuple(name for name, policy in found.items() if policy.routes)

    def _unlike(self, phase: Phase, cell: Cell, vantage: Vantage) -> CellClass:
        situations = self._of_phase(phase)
        near, picked = self._relations(cell, vantage)
        there = tuple((nearness, situations[place]) for nearness, place in near)
        clock = phase.phase if self.is_timed(phase) else ""
        echoes = self.echoes(phase, cell, vantage)
        return cell.target, cell.family, situations[self._index[vantage.id]], there, picked, clock, echoes

    def echoes(self, phase: Phase, cell: Cell, vantage: Vantage) -> tuple[int, int]:
        """Returns how many echo requests a cell's probe sends from a vantage point in a phase, and how many the others.

        Both are 0 if no policy that concerns the vantage point makes routers count packets.
        """
        if not self._counting:
            return 0, 0
        scenario, found = self.shutdown.scenario, [0, 0]
        there = self.anywhere(phase)
        if not any(there[name].concerns(vantage) for name in self._counting & there.keys()):
            return 0, 0
        for name, probe in scenario.probes.items():
            sends = cell.family in of_versions(probe.families, vantage.versions) and probe.from_.covers(vantage)
            if probe.echoes and sends and scenario.is_during(probe.during, self.real(phase)):
                found[name != cell.target] += probe.echoes
        return found[0], found[1]

    def owners(self, target: str, vantage: Vantage) -> set[str]:
        """Returns the operators whose equipment a probe's packets pass."""
        return {vantage.id.operator, *(node.owner for node in self._hosts_of(target) if node.role is Role.SUBSCRIBER)}

    def surroundings(self, vantage: Vantage) -> object:
        """Returns a key that is equal for vantage points that differ in no phase by their surroundings.

        It has the measured hosts in the country that are near, the app endpoints picked there and, if there are
        anycast addresses, the operator.
        """
        operator, index = vantage.id.operator, self._index[vantage.id]
        near = tuple((place, _nearness(vantage, host)) for place, host in self._hosting.get(operator, ()))
        return near, self._endpoints.all_picked(index), operator if self._network.instances else ""

    def situation(self, phase: Phase, vantage: Vantage) -> object:
        """Returns such a key for one phase: the situation of the vantage point, and of those that run its errands."""
        if self.remembers or self.breaks(phase) or self.withdrawing(phase):
            return vantage.id
        situations = self._of_phase(phase)
        errands = tuple((nearness, situations[place]) for nearness, place in self._errands_of(vantage))
        return situations[self._index[vantage.id]], errands

    def is_timed(self, phase: Phase) -> bool:
        """Whether the time of day affects any rule in a phase."""
        if phase.phase not in self._timed:
            rules = [rule for policy in self.anywhere(phase).values() for rule in policy.inspect or ()]
            rules += [rule for profile in self.shutdown.profiles.values() for rule in profile.rules]
            self._timed[phase.phase] = any(part.hours is not None for rule in rules for part in rule.when.parts)
        return self._timed[phase.phase]

    def _of_phase(self, phase: Phase) -> list[int]:
        """Returns the number of each vantage point's situation: all that decides about its packets there."""
        if phase.phase not in self._situations:
            active = self.active(phase)
            done = {name: self.carried_out(phase, name) for name in self.shutdown.topology.operators}
            self._situations[phase.phase] = [
                self._situation(place, done[vantage.id.operator], active, vantage)
                for place, vantage in enumerate(self._network.vantages)
            ]
        return self._situations[phase.phase]

    def _situation(self, place: int, done: Mapping[str, Policy], active: Mapping[str, Policy], vantage: Vantage) -> int:
        """Returns a number that is equal for equal situations. `done`: the active policies the operator carries out."""
        done = {name: policy for name, policy in done.items() if policy.concerns(vantage)}
        situation = (
            tuple([(self._does(n, p), _allowed(p, vantage)) for n, p in self._ordered(done)]),
            tuple(
                [(n, _allowed(p, vantage)) for n, p in active.items() if p.at is Point.GATEWAY and p.concerns(vantage)]
            ),
            self._lasting[place],
        )
        return self._numbers.setdefault(situation, len(self._numbers))

    def _ordered(self, done: Mapping[str, Policy]) -> list[tuple[str, Policy]]:
        """Returns the policies in an order that is the same for all sets that have the same effect.

        The order of policies on switches makes no difference: a switch drops what any of them drops. `by_name` keeps
        the order in which they came into force, which determines the policy that is reported.
        """
        if self.by_name:
            return list(done.items())
        return sorted(done.items(), key=lambda item: item[0] if _in_any_order(item[1]) else "")

    def _does(self, name: str, policy: Policy) -> object:
        """Returns a key of what a policy does to those it concerns; its name if an operator applies it differently."""
        if self.by_name or policy is not self._known.get(name):
            return name
        if name not in self._effects:
            self._effects[name] = _effect(self._versions.get(name, name), policy)
        return self._effects[name]

    @cached_property
    def _counting(self) -> frozenset[str]:
        """The policies that make border routers count packets."""
        return frozenset(name for name, policy in self.shutdown.scenario.policies.items() if policy.block_after)

    @cached_property
    def _lasting(self) -> list[object]:
        """For each vantage point, what no order changes."""
        found: list[object] = []
        for vantage in self._network.vantages:
            operator, subnets = vantage.id.operator, self._network.subnets[vantage.id]
            found.append(
                (
                    self.shutdown.profiles[operator].name,
                    self.shutdown.topology.operators[operator].exchange,
                    vantage.access,
                    vantage.shared is not None,
                    vantage.nat64 is not None,
                    vantage.versions,
                    vantage.home,
                    tuple(name for name in self._classes_named if vantage.is_of((name,))),
                    operator if operator in self.shutdown.controllers else "",
                    tuple(
                        p for p in self._distinguished if any(p.version == s.version and p.overlaps(s) for s in subnets)
                    ),
                )
            )
        return found

    @cached_property
    def _classes_named(self) -> tuple[str, ...]:
        """The subscriber classes that DPI rules test."""
        return tuple(dict.fromkeys(name for part in conditions_of(self.shutdown) for name in part.subscriber_class))

    @cached_property
    def _hosting(self) -> dict[str, list[tuple[int, Vantage]]]:
        """The vantage points, by operator, that host something that is measured, each with its index."""
        nodes = dict.fromkeys(node.name for target in self.shutdown.scenario.probes for node in self._hosts_of(target))
        found: dict[str, list[tuple[int, Vantage]]] = {}
        for vantage in (self._network.nodes[name].vantage for name in nodes):
            if vantage is not None:
                found.setdefault(vantage.id.operator, []).append((self._index[vantage.id], vantage))
        return found

    def _errands_of(self, vantage: Vantage) -> _Near:
        """Returns the vantage points at which errands are run before a vantage point's probes."""
        if vantage.id not in self._errands:
            near: dict[tuple[int, int], None] = {}
            for probe in (probe for probe in self._running_errands if probe.from_.covers(vantage)):
                for family in of_versions(probe.families, vantage.versions):
                    errand = probe.errand(Surroundings(self._network, vantage, family))
                    host = self._network.nodes[errand.node].vantage if errand is not None else None
                    if host is not None:
                        near[_nearness(vantage, host), self._index[host.id]] = None
            self._errands[vantage.id] = tuple(near)
        return self._errands[vantage.id]

    @cached_property
    def _running_errands(self) -> tuple[Probe, ...]:
        return tuple(p for p in self.shutdown.scenario.probes.values() if type(p).errand is not Probe.errand)

    def _relations(self, cell: Cell, vantage: Vantage) -> tuple[_Near, int]:
        """Returns the hosts in the country that a probe talks to, and the kind of app endpoint that it picks.

        Only WhatsApp has several endpoints of which each vantage point picks one.
        """
        key = cell.target, cell.family, vantage.id
        if key not in self._near:
            probe = self.shutdown.scenario.probes[cell.target]
            nodes = list(self._hosts_of(cell.target))
            errand = probe.errand(Surroundings(self._network, vantage, cell.family))
            if errand is not None:
                nodes.append(self._network.nodes[errand.node])
            near = tuple(
                (_nearness(vantage, node.vantage), self._index[node.vantage.id])
                for node in nodes
                if node.vantage is not None
            )
            app, place = getattr(probe, "app", ""), self._index[vantage.id]
            self._near[key] = near, self._endpoints.picked(app, cell.family.version, place)
        return self._near[key]

    def _hosts_of(self, target: str) -> tuple[Node, ...]:
        """Returns the hosts that a probe talks to, other than its operator's own."""
        if target not in self._hosts:
            probe = self.shutdown.scenario.probes[target]
            app = getattr(probe, "app", None)
            names = {*probe.hosts.values(), *_answered(self.shutdown), probe.resolver_address}
            found = dict.fromkeys(
                hosted.node
                for hosted in self._network.served
                if hosted.app == app or not names.isdisjoint({*hosted.names, *hosted.texts})
            )
            self._hosts[target] = tuple(self._network.nodes[name] for name in found)
        return self._hosts[target]


def _allowed(policy: Policy, vantage: Vantage) -> tuple[int, ...]:
    """Returns the indices of a policy's allowances that cover a vantage point."""
    return tuple(index for index, each in enumerate(policy.allow) if each.who.covers(vantage)) if policy.allow else ()


def _in_any_order(policy: Policy) -> bool:
    """Whether a policy's place among others makes no difference.

    It does on DPI boxes, resolvers and border routers: the first rule that matches decides.
    """
    return not (
        policy.needs_boxes or policy.by is Means.DNS or policy.rejects or policy.routes or policy.breakage is not None
    )


def _effect(name: str, policy: Policy) -> object:
    """Returns a key that is equal for policies that do the same to those they concern.

    It is the policy's name if DPI boxes, resolvers or routers carry it out, if it breaks something, or if it concerns
    only some of a vantage point's addresses.
    """
    if policy.needs_boxes or policy.routes or policy.breakage or policy.by is Means.DNS:
        return name
    if not policy.where.model_fields_set <= {"operators", "gateways", "regions", "access", "subscribers", "groups"}:
        return name
    spared = policy.except_.model_copy(update=dict.fromkeys(("operators", "regions", "access", "subscribers"), ()))
    bare = {"title": "", "source": "", "where": Scope(), "except_": spared}
    return repr(policy.model_copy(update=bare))


def _nearness(vantage: Vantage, host: Vantage) -> int:
    """Returns how near two vantage points are: 3 if the same, 2 on one access switch, 1 at one operator, else 0."""
    if vantage.id == host.id:
        return 3
    if vantage.id[:2] == host.id[:2]:
        return 2
    return int(vantage.id.operator == host.id.operator)


def _within_operators(shutdown: Shutdown, named: PrefixTable) -> tuple[IpPrefix, ...]:
    """Returns the prefixes named by policies and profiles that contain, or are part of, an operator's prefix."""
    own = [prefix for operator in shutdown.topology.operators.values() for prefix in operator.prefixes]
    return tuple(dict.fromkeys(p for prefix in own for p in (*named.around(prefix), *named.inside(prefix))))


def prefixes_named(shutdown: Shutdown) -> tuple[IpPrefix, ...]:
    """Returns the prefixes that policies and DPI rules name, directly or by an app or an AS number."""
    found: dict[IpPrefix, None] = {}
    for policy in shutdown.scenario.policies.values():
        targets = policy.targets
        found |= dict.fromkeys((*targets.addresses, *policy.except_.addresses))
        found |= dict.fromkeys(prefix for each in policy.allow for prefix in (*each.addresses, *each.inside))
        for app in (*targets.apps, *policy.except_.apps, *(app for each in policy.allow for app in each.apps)):
            found |= dict.fromkeys(shutdown.apps[app].prefixes)
    for part in conditions_of(shutdown):
        found |= dict.fromkeys((*part.address, *part.subscriber))
        if part.asn:
            announced = systems(shutdown.network)
            found |= dict.fromkeys(prefix for number in part.asn for prefix in announced[number])
    return tuple(found)


def _answered(shutdown: Shutdown) -> set[str]:
    """Returns the addresses with which DPI boxes answer DNS queries."""
    rules = [rule for policy in shutdown.scenario.policies.values() for rule in policy.inspect or ()]
    verdicts = [rule.verdict for rule in rules]
    for profile in shutdown.profiles.values():
        verdicts += [rule.verdict for rule in profile.rules]
        verdicts += [profile.verdict_for(name) for name in type(profile.block).model_fields]
    return {str(address) for verdict in verdicts for address in verdict.addresses}
