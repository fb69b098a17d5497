"""What takes away what a probe needs, and its controls with it: faults of the scenario, and withdrawn routes. Pure.

What it needs are its ways, its resolver, its servers.
"""

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
    """Whether packets are lost that a DPI box of this profile would see, once its controller has lost it."""
    return profile.placement != "on-path" and profile.table.overload != "open"


@dataclass(frozen=True, slots=True)
class Blamed:
    """Who has taken something away: a fault, or (`ordered`) a policy that breaks something, by its name; or policies
    that change routes."""

    fault: str = ""
    ordered: bool = False

    def excuses(self, outcome: Outcome, failure: str | None) -> tuple[Outcome, str | None]:
        """What a cell that came out like this is, as its controls bear it out."""
        down = Outcome.DOWN, fault_text(self.fault, ordered=self.ordered)
        return down if self.fault else (outcome, failure)


@dataclass(frozen=True, slots=True)
class _Case:
    """A fault alone, what is withdrawn, or (the last one) all together, of which the first one is blamed."""

    blamed: Blamed
    damage: Damage
    ways: Ways


class Outages:
    """What is taken away in a phase: by `faults`, and because routes are `withdrawn`. `profiles`: of the DPI boxes, by
    operator. `held`: the policies that an operator's equipment has rules of, by its name."""

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

    def blamed(self, probe: Probe, at: Surroundings) -> dict[Need, Blamed]:
        """Who takes away each of a probe's needs; what is not there is not taken away."""
        found: dict[Need, Blamed] = {}
        for case in self._cases:
            for need in self._taken(case, probe, at):
                found.setdefault(need, case.blamed)
        return found

    def near(self, at: Surroundings) -> Surroundings:
        """The same surroundings, in which it is known at which node anycast addresses are reached."""
        return _near(self._cases[-1].ways if self._cases else Ways(self._network), at)

    def unseen(self, operator: str, family: Family) -> Blamed | None:
        """Who keeps networks abroad from having a route to all that an operator has of a family; None: they have."""
        own = self._network.topology.operators[operator].prefixes
        prefixes = [prefix for prefix in own if prefix.version == family.version]
        return next((c.blamed for c in self._cases if not self._are_seen(c.ways.routes, operator, prefixes)), None)

    def misplaced(self, operator: str, family: Family) -> bool:
        """Whether networks abroad have a route to a prefix of an operator's of a family that another announces, or to
        another's that it announces."""
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
        """Whether packets go both ways between two hosts."""
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
    """The hosts whose servers are no use to a probe."""
    return {"host": frozenset[str](), "port": damage.closed, "program": damage.silent}[probe.waits_for]


def is_answered(ways: Ways, resolver: Node, hosted: Hosted) -> bool:
    """Whether a resolver reaches, over IPv4 or IPv6, who answers for the names of what is hosted.

    That is the network that hosts it; for what is in the country its own name server, beside the first operator's
    resolver.
    """
    network = ways.network
    there = next(network.by_role(Role.RESOLVER)) if hosted.domestic else network.nodes[hosted.node]
    return there is resolver or any(
        ways.between(resolver.name, str(there.address(version))).arrives
        and ways.between(there.name, str(resolver.address(version))).arrives
        for version in (4, 6)
    )


def inspectors(ends: Iterable[Node], held: Callable[[str], Mapping[str, Policy]]) -> set[str]:
    """The operators that steer what these hosts send and get through their DPI boxes.

    An operator does for policies that boxes enforce and that concern the subscriber group (`compiler.boxes.steering`).
    held: the policies that an operator's equipment has rules of, by its name.
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
    """Whether a DPI box on the way loses what one of the `inspecting` operators steers through it."""
    switches = (network.nodes[crossing.switch] for crossing in way.crossings)
    owners = {switch.owner for switch in switches if switch.role is Role.DPI_SWITCH}
    return any(loses(network, damage, owner, profiles[owner]) for owner in owners & inspecting)


def loses(network: Network, damage: Damage, operator: str, profile: Profile) -> bool:
    """Whether an operator's DPI box is broken so that packets steered through it are lost."""
    box = network.one(Role.DPI_BOX, operator).name
    in_path = profile.placement != "on-path"
    return (box in damage.mute_boxes and in_path) or (box in damage.boxes and fails_closed(profile))
