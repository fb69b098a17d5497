"""How soon an on-path DPI box must be: ahead of the answer of whomever a subscriber asks. Pure.

It sees a packet when the server does not yet: what it forges has the way from it to the server and back as its lead.
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
    """Those of a network's boxes against its servers."""

    network: Network
    _delays: dict[str, dict[str, float]] = field(default_factory=dict)

    def lead(self, probe: Probe, at: Surroundings, held: Mapping[str, Policy]) -> float | None:
        """Seconds that the operator's box has for what it does to a probe; None: it has nothing to do with it.

        `held`: the policies that the operator carries out. Of several servers the nearest counts, and where it is not
        known which there are, the nearest of all.
        """
        operator = at.vantage.id.operator
        if not any(policy.needs_boxes and policy.concerns(at.vantage) for policy in held.values()):
            return None
        beyond = self._beyond(operator)
        ends = {far for _, far in probe.far_ends(at)}
        asked = ends or {hosted.node for hosted in self.network.served}
        return min((2 * beyond[node] for node in asked if node in beyond), default=None)

    def _beyond(self, operator: str) -> dict[str, float]:
        """Each node on the other side of an operator's box, and the delay on the way there, the least of several."""
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
