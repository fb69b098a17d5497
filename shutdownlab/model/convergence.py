"""The converged BGP state of a country: what every router holds, computed once for all of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.routing import BgpSession, Relation, announcements, routers, sessions


@dataclass(frozen=True, slots=True)
class Convergence:
    """The converged state, by router name. `sessions`: as `routing.sessions`; `originated`: as `routing.originated`.

    Asking `routing` about one router costs as much as all of this, so a caller that asks about every router asks here.
    """

    sessions: Mapping[str, tuple[BgpSession, ...]]
    originated: Mapping[str, tuple[IpPrefix, ...]]
    _members: frozenset[str]
    _everywhere: frozenset[IpPrefix]
    _at_the_exchange: frozenset[IpPrefix]

    @classmethod
    def of(cls, network: Network) -> Convergence:
        originated = announcements(network)
        operators = network.topology.operators
        members = frozenset(m.name for m in network.by_role(Role.BORDER) if operators[m.owner].exchange)
        return cls(
            {node.name: tuple(sessions(network, node)) for node in routers(network)},
            originated,
            members,
            frozenset(prefix for own in originated.values() for prefix in own),
            frozenset(prefix for name in members for prefix in originated[name]),
        )

    def expected(self, node: Node) -> frozenset[IpPrefix]:
        """Returns the prefixes in the router's table: all that are announced; for the route server, those of the
        exchange's members; for a router without IPv6, only those of IPv4."""
        every = self._at_the_exchange if node.role is Role.ROUTE_SERVER else self._everywhere
        return every if 6 in node.versions else frozenset(prefix for prefix in every if prefix.version == 4)

    def at_the_exchange(self, node: Node) -> dict[IpPrefix, str]:
        """Returns the prefixes that a member reaches over the exchange, those of the other members, each with the
        session's name."""
        over = {s.version: s.name for s in self.sessions[node.name] if s.relation is Relation.EXCHANGE}
        if not over:
            return {}
        own = self.originated[node.name]
        return {p: over[p.version] for p in self._at_the_exchange.difference(own) if p.version in over}
