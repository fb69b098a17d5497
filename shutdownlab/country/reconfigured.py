"""Notes whose network configuration is changed while a phase is measured: nothing of ours does that then.

Orders and faults change it before; programs that a user brings, and circumvention tools, may change that of their own
node. A firewall rule, address, route or queue that somebody else puts there makes cells fail as an order does, and
controls that do not meet it vouch for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.model.network import Network, Role
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.netlink_news import NetlinkNews

_ROUTERS: Final = (Role.BORDER, Role.TRANSIT, Role.ROUTE_SERVER)
_HOSTS: Final = (Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE, Role.CONTROL, Role.SERVERS)


@dataclass(slots=True)
class Reconfigured:
    """The nodes that are listened to, by name."""

    _news: dict[str, NetlinkNews] = field(default_factory=dict)

    def begin(self, net: EmulatedNetwork, network: Network, *, hosts: bool) -> None:
        """Listens anew, to all routers, and to all hosts if `hosts`: if no programs but ours run on these."""
        self.end()
        for role in (*_ROUTERS, *(_HOSTS if hosts else ())):
            for node in network.by_role(role):
                with net.get(node.name).namespace.entered():
                    self._news[node.name] = NetlinkNews()

    def found(self) -> Iterator[str]:
        """Yields a sentence for each node that has been changed since the last call."""
        for name, news in self._news.items():
            if changes := news.changes():
                yield f"somebody has changed {' and '.join(changes)} of {name}"

    def end(self) -> None:
        """Stops listening."""
        for news in self._news.values():
            news.close()
        self._news.clear()
