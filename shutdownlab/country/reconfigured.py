"""Notes whose network configuration is changed by somebody else, from the first phase on.

A firewall rule, address, route or queue that somebody puts there makes cells fail as an order does, and controls that
do not meet it vouch for them. While a phase is measured, nothing of ours changes any node; before it, orders and faults
change some, and say so (`Reconfigured.allow`), and a DPI box may plug its proxy in. What programs that a user brings,
and circumvention tools, change of their own node is not looked at.
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
from shutdownlab.system.netlink_monitor import INTERFACE, SETTING, NetlinkMonitor

_ROUTERS: Final = (Role.BORDER, Role.TRANSIT, Role.ROUTE_SERVER)
_HOSTS: Final = (Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE, Role.CONTROL, Role.SERVERS)
_PLUGGED_IN: Final = frozenset((INTERFACE, SETTING))
"""What is heard of a box's node when its proxy is plugged in: an interface is made, with settings of its own."""


@dataclass(slots=True)
class Reconfigured:
    """The network namespaces that are listened to, by the name of what they are of."""

    _heard: dict[str, _Heard] = field(default_factory=dict)
    _changes: dict[str, list[str]] = field(default_factory=dict)
    """What has been heard and not been told yet, by the same name."""
    _allowed: set[str] = field(default_factory=set)
    """Those that our own orders have changed since the last phase began."""

    def begin(self, net: EmulatedNetwork, network: Network, *, hosts: bool) -> None:
        """Goes on listening to all routers, switches, boxes and the delay line, and to all hosts if `hosts`: if no
        programs but ours run on these. Listens anew to those that our own orders may have changed.
        """
        roles = (*_ROUTERS, Role.DPI_BOX, *(_HOSTS if hosts else ()))
        spaces = {node.name: net.get(node.name).namespace for role in roles for node in network.by_role(role)}
        spaces |= {switches_of(name): instance.namespace for name, instance in net.instances.items()}
        if net.cabling.relay:
            spaces[RELAY] = net.cabling.relay
        for name in self._heard.keys() - (spaces.keys() - self._allowed):
            self._heard.pop(name).monitor.close()
        self._allowed.clear()
        boxes = {node.name for node in network.by_role(Role.DPI_BOX)}
        for name, namespace in spaces.items():
            with namespace.entered():
                if name not in self._heard:
                    self._heard[name] = _Heard(namespace, NetlinkMonitor(), settings())
                else:  # listen now, lest the many announcements of an order fill the socket
                    changes = self._heard[name].monitor.changes()
                    self._note(name, [what for what in changes if name not in boxes or what not in _PLUGGED_IN])

    def allow(self, name: str) -> None:
        """Says that an order is about to change this node, or these switches (`switches_of`)."""
        if name in self._heard and name not in self._allowed:
            self._listen(name)
            self._allowed.add(name)

    def found(self) -> Iterator[str]:
        """Yields a sentence for each node that has been changed since the last call."""
        for name in self._heard:
            self._listen(name)
        changed, self._changes = self._changes, {}
        for name, changes in changed.items():
            yield f"somebody has changed {' and '.join(dict.fromkeys(changes))} of {name}"

    def _listen(self, name: str) -> None:
        """Notes what has been changed of a node since the last time."""
        each = self._heard[name]
        with each.namespace.entered():
            changes, now = each.monitor.changes(), settings()
        self._note(name, [*changes, *(what for what in now if now[what] != each.settings[what])])
        each.settings = now

    def _note(self, name: str, changes: list[str]) -> None:
        if changes:
            self._changes.setdefault(name, []).extend(changes)

    def leave_out(self, name: str) -> None:
        """Stops listening to a node, of which we change something ourselves."""
        if name in self._heard:
            self._heard.pop(name).monitor.close()


def switches_of(instance: str) -> str:
    """Returns what the switches of an Open vSwitch instance are called here."""
    return f"the switches of {instance}"


@dataclass(slots=True)
class _Heard:
    namespace: Namespace
    monitor: NetlinkMonitor
    settings: dict[str, bytes]
