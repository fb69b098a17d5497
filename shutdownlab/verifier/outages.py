"""Which faults of a scenario can keep a probe from what it needs: its ways, its resolver, its servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from shutdownlab.inspection.profile import Profile
from shutdownlab.model.faults import Damage, DeclaredFault, damage_of
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.probe import Probe, Surroundings
from shutdownlab.model.scenario import Family
from shutdownlab.verifier.routes import Routes
from shutdownlab.verifier.ways import Way, Ways

Need = Literal["way", "lookup", "server"]


def fails_closed(profile: Profile) -> bool:
    """Whether packets are lost that a DPI box of this profile would see, once its controller has lost it."""
    return profile.placement != "on-path" and profile.table.overload != "open"


@dataclass(frozen=True, slots=True)
class _Case:
    """A fault alone, or (the last one) all of a phase's together. `blamed`: the fault's name; of all, the first's."""

    blamed: str
    damage: Damage
    ways: Ways


class Outages:
    """What a phase's faults take away. `profiles`: of the DPI boxes, by operator."""

    def __init__(self, network: Network, faults: Mapping[str, DeclaredFault], profiles: Mapping[str, Profile]) -> None:
        self._network, self._profiles = network, profiles
        sets = [{name: fault} for name, fault in faults.items()]
        if len(sets) > 1:
            sets.append(dict(faults))
        damages = [damage_of(network, each.values()) for each in sets]
        self._cases = [
            _Case(next(iter(each)), damage, Ways(network, damage)) for each, damage in zip(sets, damages, strict=True)
        ]

    def blamed(self, probe: Probe, at: Surroundings) -> dict[Need, str]:
        """The fault, by name, that takes away each of a probe's needs; what is not there is not taken away."""
        found: dict[Need, str] = {}
        for case in self._cases:
            for need in self._taken(case, probe, at):
                found.setdefault(need, case.blamed)
        return found

    def unseen(self, operator: str, family: Family) -> str:
        """The fault for which no network abroad has a route to an operator; "" where some have one."""
        if not any(prefix.version == family.version for prefix in self._network.topology.operators[operator].prefixes):
            return ""
        return next((case.blamed for case in self._cases if not self._is_seen(case.ways.routes, operator)), "")

    def _is_seen(self, routes: Routes, operator: str) -> bool:
        return any(routes.leads(transit, operator) for transit in self._network.topology.transits)

    def _taken(self, case: _Case, probe: Probe, at: Surroundings) -> Iterator[Need]:
        nodes, version = self._network.nodes, at.family.version
        for own, far in probe.paths(at):
            if not self._passes(case, nodes[own], nodes[far], version):
                yield "way"
            if far in case.damage.silent:
                yield "server"
        resolver = self._network.one(Role.RESOLVER, at.vantage.id.operator)
        for host in probe.looked_up(at):
            if resolver.name in case.damage.silent:
                yield "lookup"
                continue
            hosted = self._network.hosted_as(host)
            if hosted is not None and not self._passes(case, resolver, nodes[hosted.node], version):
                yield "lookup"

    def _passes(self, case: _Case, one: Node, other: Node, version: int) -> bool:
        """Whether packets go both ways between two hosts."""
        ways = (
            case.ways.between(one.name, str(other.address(version))),
            case.ways.between(other.name, str(one.address(version))),
        )
        return all(way.arrives and not self._ends_in_a_box(case.damage, way) for way in ways)

    def _ends_in_a_box(self, damage: Damage, way: Way) -> bool:
        """Whether a DPI box on the way loses what is steered through it."""
        switches = (self._network.nodes[crossing.switch] for crossing in way.crossings)
        owners = {switch.owner for switch in switches if switch.role is Role.DPI_SWITCH}
        return any(loses(self._network, damage, owner, self._profiles[owner]) for owner in owners)


def loses(network: Network, damage: Damage, operator: str, profile: Profile) -> bool:
    """Whether an operator's DPI box is broken so that packets steered through it are lost."""
    box = network.one(Role.DPI_BOX, operator).name
    in_path = profile.placement != "on-path"
    return (box in damage.mute_boxes and in_path) or (box in damage.boxes and fails_closed(profile))
