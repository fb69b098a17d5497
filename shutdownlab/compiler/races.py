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


@dataclass(slots=True)
class Races:
    """The races of a network's on-path boxes against its servers."""

    network: Network
    _delays: dict[str, dict[str, float]] = field(default_factory=dict)

    def lead(self, probe: Probe, at: Surroundings, held: Mapping[str, Policy]) -> float | None:
        """Returns the operator's box's lead for a probe, in seconds; None if the box has no rules that concern it.

        `held`: the policies that the operator carries out. If the probe has several servers the nearest counts; if they
        are not known, the nearest server of all.
        """
        operator = at.vantage.id.operator
        if not any(policy.needs_boxes and policy.concerns(at.vantage) for policy in held.values()):
            return None
        beyond = self._beyond(operator)
        ends = {far for _, far in probe.far_ends(at)}
        asked = ends or {hosted.node for hosted in self.network.served}
        return min((2 * beyond[node] for node in asked if node in beyond), default=None)

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
