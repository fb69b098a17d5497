"""Faults and changed routes that take away what a probe and its controls need: paths, resolver, servers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.inspection.profile import Profile
from shutdownlab.model.faults import NO_DAMAGE, Damage, DeclaredFault, OrderedBreakage, damage_of, fault_text
from shutdownlab.model.network import Hosted, Network, Node, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Need, Probe, Surroundings
from shutdownlab.model.routing import holder_of, holders
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.verifier.routes import Routes
from shutdownlab.verifier.ways import Way, Ways


def fails_closed(profile: Profile) -> bool:
    """Whether packets that a DPI box of this profile would see are lost once its controller has noticed it is gone."""
    return profile.placement != "on-path" and profile.table.overload != "open"


@dataclass(frozen=True, slots=True)
class Blamed:
    """The cause that took something away.

    fault: the name of a fault, or (`ordered`) of a policy that breaks something; "" for policies that change routes.
    """

    fault: str = ""
    ordered: bool = False

    def excuses(self, outcome: Outcome, failure: str | None) -> tuple[Outcome, str | None]:
        """Returns the outcome and failure of a cell with this cause: down if a fault caused it, else unchanged."""
        down = Outcome.DOWN, fault_text(self.fault, ordered=self.ordered)
        return down if self.fault else (outcome, failure)


@dataclass(frozen=True, slots=True)
class _Case:
    """One fault alone, the changed routes alone, or all together (the last case, blamed on the first)."""

    blamed: Blamed
    damage: Damage
    ways: Ways


class Outages:
    """What faults and changed routes take away in a phase.

    profiles: of the DPI boxes, by operator.
    held: returns the policies that an operator's equipment has rules for.
    withdrawn: the changed routes.
    """

    def __init__(
        self,
        network: Network,
        faults: Mapping[str, DeclaredFault],
        profiles: Mapping[str, Profile],
        held: Callable[[str], Mapping[str, Policy]],
        withdrawn: Damage = NO_DAMAGE,
    ) -> None:
        self._network, self._profiles, self._held = network, profiles, held
        alone = [
            (Blamed(name, isinstance(fault, OrderedBreakage)), damage_of(network, [fault]))
            for name, fault in faults.items()
        ]
        if withdrawn:
            alone.insert(0, (Blamed(), withdrawn))
        if len(alone) > 1:
            together = NO_DAMAGE
            for _, damage in alone:
                together |= damage
            alone.append((alone[0][0], together))
        self._cases = [_Case(blamed, damage, Ways(network, damage)) for blamed, damage in alone]
        self._ways = self._cases[-1].ways if self._cases else Ways(network)

    def blamed(self, probe: Probe, at: Surroundings) -> dict[Need, Blamed]:
        """Returns the cause for each of a probe's needs that is taken away."""
        found: dict[Need, Blamed] = {}
        for case in self._cases:
            for need in self._taken(case, probe, at):
                found.setdefault(need, case.blamed)
        return found

    def near(self, at: Surroundings) -> Surroundings:
        """Returns the same surroundings, with the nodes at which anycast addresses are reached."""
        return _near(self._ways, at)

    def unseen(self, operator: str, family: Family) -> Blamed | None:
        """Returns the cause if no transit has a route to some prefix of an operator in a family, else None."""
        own = self._network.topology.operators[operator].prefixes
        prefixes = [prefix for prefix in own if prefix.version == family.version]
        return next((c.blamed for c in self._cases if not self._are_seen(c.ways.routes, operator, prefixes)), None)

    def misplaced(self, operator: str, family: Family) -> bool:
        """Whether any transit selects a wrong origin for a prefix that the operator holds or wrongly announces."""
        if not self._cases:
            return False
        together, held = self._cases[-1], holders(self._network)
        for prefix in (each for each in together.damage.contested if each.version == family.version):
            holder = holder_of(prefix, held)
            for transit in self._network.topology.transits:
                origin = together.ways.routes.origin(transit, prefix)
                if origin not in {None, holder} and operator in {origin, holder}:
                    return True
        return False

    def _are_seen(self, routes: Routes, operator: str, prefixes: Sequence[IpPrefix]) -> bool:
        transits = self._network.topology.transits
        return all(any(routes.leads(transit, operator, prefix) for transit in transits) for prefix in prefixes)

    def _taken(self, case: _Case, probe: Probe, at: Surroundings) -> Iterator[Need]:
        nodes, version = self._network.nodes, at.family.version
        for own, far in probe.far_ends(_near(case.ways, at)):
            if not self._passes(case, nodes[own], nodes[far], version):
                yield "way"
            if far in _deaf(case.damage, probe):
                yield "server"
        resolver = self._network.resolver_of(at.vantage)
        subscriber = self._network.subscriber(at.vantage.id)
        hosts = probe.looked_up(at)
        if hosts and (resolver.name in case.damage.silent or not self._passes(case, subscriber, resolver, version)):
            yield "lookup"
            return
        for host in hosts:
            hosted = self._network.hosted_as(host)
            if hosted is not None and not is_answered(case.ways, resolver, hosted):
                yield "lookup"

    def _passes(self, case: _Case, one: Node, other: Node, version: int) -> bool:
        """Whether packets pass between two hosts in both directions."""
        ways = (
            case.ways.between(one.name, str(other.address(version))),
            case.ways.between(other.name, str(one.address(version))),
        )
        inspecting = inspectors((one, other), self._held)
        return all(
            way.arrives and not ends_in_a_box(self._network, case.damage, self._profiles, way, inspecting)
            for way in ways
        )


def _near(ways: Ways, at: Surroundings) -> Surroundings:
    if not ways.network.instances:
        return at

    def nearest(hosted: Hosted) -> str:
        own = ways.network.subscriber(at.vantage.id).name
        addresses = (str(address) for address in hosted.addresses if address.version == at.family.version)
        reached = next((ways.reached(own, address) for address in addresses), None)
        return reached.name if reached is not None else hosted.node

    return replace(at, nearest=nearest)


def _deaf(damage: Damage, probe: Probe) -> frozenset[str]:
    """Returns the hosts whose servers cannot serve a probe, by the part of a server that it waits for."""
    return {"host": frozenset[str](), "port": damage.closed, "program": damage.silent}[probe.waits_for]


def is_answered(ways: Ways, resolver: Node, hosted: Hosted) -> bool:
    """Whether a resolver reaches the authoritative name server of a hosted name, over IPv4 or IPv6.

    That server is on the node that hosts the name; for names in the country, beside the first operator's resolver.
    """
    network = ways.network
    there = next(network.by_role(Role.RESOLVER)) if hosted.domestic else network.nodes[hosted.node]
    return there is resolver or any(
        ways.between(resolver.name, str(there.address(version))).arrives
        and ways.between(there.name, str(resolver.address(version))).arrives
        for version in set(there.versions).intersection(resolver.versions)
    )


def inspectors(ends: Iterable[Node], held: Callable[[str], Mapping[str, Policy]]) -> set[str]:
    """Returns the operators that steer these hosts' packets through their DPI boxes.

    An operator does if a policy that boxes enforce concerns the subscriber group (`compiler.boxes.steering`).
    held: returns the policies that an operator's equipment has rules for.
    """
    vantages = [node.vantage for node in ends if node.vantage is not None]
    return {
        at.id.operator
        for at in vantages
        if any(policy.needs_boxes and policy.concerns(at) for policy in held(at.id.operator).values())
    }


def ends_in_a_box(
    network: Network, damage: Damage, profiles: Mapping[str, Profile], way: Way, inspecting: Set[str]
) -> bool:
    """Whether a broken DPI box on the path loses packets; `inspecting`: the operators that steer them through boxes."""
    switches = (network.nodes[crossing.switch] for crossing in way.crossings)
    owners = {switch.owner for switch in switches if switch.role is Role.DPI_SWITCH}
    return any(loses(network, damage, owner, profiles[owner]) for owner in owners & inspecting)


def loses(network: Network, damage: Damage, operator: str, profile: Profile) -> bool:
    """Whether an operator's DPI box is broken so that packets steered through it are lost."""
    box = network.one(Role.DPI_BOX, operator).name
    in_path = profile.placement != "on-path"
    return (box in damage.mute_boxes and in_path) or (box in damage.boxes and fails_closed(profile))
