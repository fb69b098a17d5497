"""The lead that an on-path DPI box has over servers' answers. Pure.

An on-path box sees a packet before the server does: its lead is the round trip from the box to the server.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field

from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Probe, Surroundings


@dataclass(frozen=True, slots=True)
class Rival:
    """What an on-path box races.

    lead: seconds by which the box is ahead, at least. ends: the IP addresses of those whose packets it may answer;
    empty: unknown.
    """

    lead: float
    ends: tuple[str, ...]


@dataclass(slots=True)
class Races:
    """The races of a network's on-path boxes against its servers."""

    network: Network
    _delays: dict[str, dict[str, float]] = field(default_factory=dict)

    def rival(self, probe: Probe, at: Surroundings, held: Mapping[str, Policy]) -> Rival | None:
        """Returns what the operator's box races for a probe; None if it has no rules that concern it, or none to race.

        `held`: the policies that the operator carries out. If the probe has several servers the nearest counts; if they
        are not known, the nearest server of all.
        """
        operator = at.vantage.id.operator
        if not any(policy.needs_boxes and policy.concerns(at.vantage) for policy in held.values()):
            return None
        beyond = self._beyond(operator)
        ends = {far for _, far in probe.far_ends(at)}
        asked = ends or {hosted.node for hosted in self.network.served}
        lead = min((2 * beyond[node] for node in asked if node in beyond), default=None)
        return None if lead is None else Rival(lead, self._ends(probe, at, ends))

    def _ends(self, probe: Probe, at: Surroundings, servers: set[str]) -> tuple[str, ...]:
        """Returns the addresses of a probe's servers, and of the resolver where it asks that; none if unknown."""
        network = self.network
        if not servers:
            return ()
        asking = {network.resolver_of(at.vantage).name} if probe.looked_up(at) else set()
        own = (address for node in servers | asking for address in network.nodes[node].addresses)
        hosted = (address for node in servers for address in network.hosted_on(node))
        return tuple(dict.fromkeys(str(address) for address in (*own, *hosted)))

    def _beyond(self, operator: str) -> dict[str, float]:
        """Returns the least one-way delay, in seconds, from an operator's box to each node beyond it."""
        known = self._delays.get(operator)
        if known is not None:
            return known
        network = self.network
        delays = self._delays[operator] = {}
        before = {network.one(role, operator).name for role in (Role.BORDER, Role.DPI_BOX)}
        links: dict[str, list[tuple[str, float]]] = {}
        for link in network.links:
            for one, other in ((link.a.node, link.b.node), (link.b.node, link.a.node)):
                links.setdefault(one, []).append((other, link.kind.delay))
        waiting = [(0.0, network.one(Role.DPI_SWITCH, operator).name)]
        while waiting:
            delay, node = heapq.heappop(waiting)
            if node in delays or node in before:
                continue
            delays[node] = delay
            for other, more in links[node]:
                heapq.heappush(waiting, (delay + more, other))
        return delays
