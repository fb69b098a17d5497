"""Late resolvers in a running country: the affected groups' queries are redirected to a process that delays them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shutdownlab.compiler.resolvers import Lies, held_names
from shutdownlab.country.borders import load
from shutdownlab.country.replies import wait_until_applied
from shutdownlab.model.faults import Damage
from shutdownlab.model.network import Network, Role
from shutdownlab.model.topology import VantageId
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.protocol.messages import Hold, encode
from shutdownlab.servers.late_answers import process_name, ruleset
from shutdownlab.system.child_process import Forked


@dataclass(slots=True)
class LateResolvers:
    """The processes in front of resolvers, as last configured. `processes`: by name."""

    net: EmulatedNetwork
    network: Network
    processes: Mapping[str, Forked]
    changing: Callable[[str], None] = lambda _: None
    """Called with the name of each resolver whose node is about to be changed."""
    _configured: dict[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    """By operator: the seconds by which each name is delayed, by client subnet."""
    _led: dict[str, str] = field(default_factory=dict)
    """By operator: the rules that redirect queries."""
    _serial: int = 0

    def become(self, wanted: Mapping[VantageId, Lies], damage: Damage) -> None:
        """Makes every resolver late for exactly these groups and names, and waits until it is.

        If a resolver is closed, its queries are not redirected, so the kernel rejects them itself. Raises
        `ServicesNotReady`, `MachineCannot`.
        """
        for operator in self.network.topology.operators:
            node = self.network.one(Role.RESOLVER, operator)
            process = self.processes.get(process_name(node.name))
            if process is None:
                continue
            holding = {
                v: held for _, v in self.network.vantages_of(operator) if (held := held_names(wanted.get(v.id, {})))
            }
            names = {str(subnet): held for v, held in holding.items() for subnet in self.network.subnets[v.id]}
            if names != self._configured.get(operator, {}):
                self._tell(process, names)
                self._configured[operator] = names
            clients = [subnet for v in holding for subnet in self.network.subnets[v.id]]
            rules = ruleset(node.addresses, () if node.name in damage.closed else clients)
            if rules != self._led.get(operator, ruleset(node.addresses, ())):
                self.changing(node.name)
                load(self.net.get(node.name).namespace, rules, "have a resolver answer late")
                self._led[operator] = rules

    def _tell(self, process: Forked, names: Mapping[str, Mapping[str, float]]) -> None:
        self._serial += 1
        process.send(encode(Hold(self._serial, names)))
        wait_until_applied(process, self._serial)
