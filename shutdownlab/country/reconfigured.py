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
from shutdownlab.network.delay_line import RELAY
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system.kernel_settings import settings
from shutdownlab.system.namespace import Namespace
from shutdownlab.system.netlink_monitor import NetlinkMonitor

_ROUTERS: Final = (Role.BORDER, Role.TRANSIT, Role.ROUTE_SERVER)
_HOSTS: Final = (Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE, Role.CONTROL, Role.SERVERS)


@dataclass(slots=True)
class Reconfigured:
    """The network namespaces that are listened to, by the name of what they are of."""

    _heard: dict[str, _Heard] = field(default_factory=dict)

    def begin(self, net: EmulatedNetwork, network: Network, *, hosts: bool) -> None:
        """Listens anew, to all routers, switches, boxes and the delay line, and to all hosts if `hosts`: if no
        programs but ours run on these.
        """
        self.end()
        roles = (*_ROUTERS, Role.DPI_BOX, *(_HOSTS if hosts else ()))
        spaces = {node.name: net.get(node.name).namespace for role in roles for node in network.by_role(role)}
        spaces |= {f"the switches of {name}": instance.namespace for name, instance in net.instances.items()}
        if net.cabling.relay:
            spaces[RELAY] = net.cabling.relay
        for name, namespace in spaces.items():
            with namespace.entered():
                self._heard[name] = _Heard(namespace, NetlinkMonitor(), settings())

    def found(self) -> Iterator[str]:
        """Yields a sentence for each node that has been changed since the last call."""
        for name, each in self._heard.items():
            with each.namespace.entered():
                changes, now = each.monitor.changes(), settings()
            changes += [what for what in now if now[what] != each.settings[what]]
            each.settings = now
            if changes:
                yield f"somebody has changed {' and '.join(changes)} of {name}"

    def leave_out(self, name: str) -> None:
        """Stops listening to a node, of which we change something ourselves."""
        if name in self._heard:
            self._heard.pop(name).monitor.close()

    def end(self) -> None:
        """Stops listening."""
        for each in self._heard.values():
            each.monitor.close()
        self._heard.clear()


@dataclass(slots=True)
class _Heard:
    namespace: Namespace
    monitor: NetlinkMonitor
    settings: dict[str, bytes]
