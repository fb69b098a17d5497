"""Applies to the border routers of a running country what they are to discard, reject and count.

Packets to discard on arrival have routes in a table of their own, consulted only for packets from the gateway (RFC
5635, section 3). Packets to reject and to count have an nftables table each, loaded as a whole.

Border and transit routers can be made to report every packet without a route to its sender. By itself Linux does so
five times, then once a second (`icmp_ratelimit` does not govern these errors), so outcomes would depend on which probe
was first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_interface
from typing import Final

from pyroute2 import NetlinkError

from shutdownlab.compiler import counting, rejections, translation
from shutdownlab.compiler.counting import Counted
from shutdownlab.compiler.rejections import Rejected
from shutdownlab.model.address_plan import GATEWAY_LAN, SUBSCRIBER, as_ipv6
from shutdownlab.model.faults import Damage, Nulled
from shutdownlab.model.network import Network, Role
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.servers import translators
from shutdownlab.system import rtnetlink
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace

_TABLE: Final = 100
_RULE_PRIORITY: Final = 100
_FAMILIES: Final = {4: 2, 6: 10}
_NOWHERE: Final = GATEWAY_LAN[0].network_address + 2**14 - 2
"""An unused address: the next hop of the packets that have no other route."""
_UNROUTED: Final = f"""table inet unrouted {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    rt ip nexthop {_NOWHERE} reject with icmp type net-unreachable
  }}
}}
"""
_LAST, _ONLINK = 2**32 - 1, 4
_TABLES_MISSING: Final = "use a kernel with CONFIG_IP_MULTIPLE_TABLES"
_TRANSLATED: Final = 20 + 8
"""By how many bytes translation lengthens an IPv4 packet from or to a subscriber with IPv6 only.

That is the larger IPv6 header and a fragment header (RFC 7915, 4.1; Android's clatd subtracts the same). Unless the
subscriber's own MTU is that much smaller, a page depends on whether "fragmentation needed" reaches its server, and
whether the server still remembers it.
"""
_TUN_MISSING: Final = "sudo modprobe tun, and let ordinary users open /dev/net/tun"
_NFT_MISSING: Final = (
    "sudo apt-get install nftables, and a kernel with CONFIG_NF_TABLES_INET, CONFIG_NFT_REJECT, _LIMIT and _NAT"
)


@dataclass(slots=True)
class Borders:
    """The border routers of a country, as the last orders have configured them."""

    net: EmulatedNetwork
    network: Network
    changing: Callable[[str], None] = lambda _: None
    """Called with the name of each router that is about to be changed."""
    _nulled: frozenset[Nulled] = frozenset()
    _rules: dict[str, str] = field(default_factory=dict)
    """The nftables rules, by operator."""
    _counting: set[str] = field(default_factory=set)
    """The operators whose routers count."""
    _tell: bool = False

    def tell(self) -> None:
        """Makes border and transit routers report each IPv4 packet for which they have no route.

        Raises `MachineCannot`.
        """
        if self._tell:
            return
        self._tell = True
        for role, purpose in ((Role.BORDER, "intl"), (Role.TRANSIT, "gateway")):
            for node in self.network.by_role(role):
                self.changing(node.name)
                namespace: Namespace = self.net.get(node.name).namespace
                load(namespace, _UNROUTED, "report packets without a route")
                with namespace.netlink() as netlink:
                    (index,) = netlink.link_lookup(ifname=node.port_for(purpose).name)
                    nowhere = {"gateway": str(_NOWHERE), "oif": index, "flags": _ONLINK, "priority": _LAST}
                    netlink.route("add", dst="0.0.0.0/0", **nowhere)

    def discard(self, wanted: Damage) -> None:
        """Makes the routers discard exactly what `wanted` null-routes; raises `MachineCannot`."""
        if wanted.nulled == self._nulled:
            return
        changed = {each.operator for each in wanted.nulled ^ self._nulled}
        for operator in sorted(changed):
            before, now = (
                {(str(p), kind) for each in of if each.operator == operator for p, kind in _routes(each)}
                for of in (self._nulled, wanted.nulled)
            )
            self._set_routes(operator, before, now)
        self._nulled = wanted.nulled

    def _set_routes(self, operator: str, before: set[tuple[str, str]], now: set[tuple[str, str]]) -> None:
        node = self.network.one(Role.BORDER, operator)
        interface = node.port_for("intl").name
        with self._namespace(operator).netlink() as netlink:
            try:
                for prefix, kind in sorted(now - before):  # the order of exceptions is free: no rule leads here yet, or
                    # the longer prefix is added in a moment
                    netlink.route("replace", dst=prefix, type=kind, table=_TABLE)
                for prefix, kind in sorted(before - now):
                    if prefix not in {p for p, _ in now}:
                        netlink.route("del", dst=prefix, type=kind, table=_TABLE)
                for family in _FAMILIES.values():
                    if bool(now) != bool(before):
                        verb = "add" if now else "del"
                        rule = {"priority": _RULE_PRIORITY, "iifname": interface, "table": _TABLE, "family": family}
                        netlink.rule(verb, **rule)
            except NetlinkError as error:
                why = f"the kernel refuses an additional routing table ({error})"
                raise MachineCannot("null-route at a border router", why, _TABLES_MISSING) from error

    def reject(self, operator: str, rejected: Iterable[Rejected]) -> None:
        """Makes an operator's router reject exactly this; raises `MachineCannot`."""
        rules = rejections.ruleset(rejected)
        if rules == self._rules.get(operator, rejections.ruleset(())):
            return
        load(self._namespace(operator), rules, "reject packets at a border router")
        self._rules[operator] = rules

    def count(self, operator: str, counted: Sequence[Counted]) -> None:
        """Makes an operator's router count exactly this, starting from zero; raises `MachineCannot`."""
        if not counted and operator not in self._counting:
            return
        load(self._namespace(operator), counting.ruleset(counted), "count packets at a border router")
        (self._counting.add if counted else self._counting.discard)(operator)

    def _namespace(self, operator: str) -> Namespace:
        """Returns that of an operator's router, which is about to be changed."""
        router = self.network.one(Role.BORDER, operator).name
        self.changing(router)
        namespace: Namespace = self.net.get(router).namespace
        return namespace


def translate(net: EmulatedNetwork, network: Network) -> None:
    """Makes border routers translate addresses for the groups behind a carrier-grade NAT; raises `MachineCannot`.

    Segments forged by a DPI box, or following a forged end of a connection, are translated too.
    """
    for node in network.by_role(Role.BORDER):
        if rules := translation.ruleset(network, node):
            namespace: Namespace = net.get(node.name).namespace
            load(namespace, rules, "translate addresses at a border router")
            namespace.set_sysctls({"net.netfilter.nf_conntrack_tcp_be_liberal": 1})


def join_translators(net: EmulatedNetwork, network: Network) -> None:
    """Gives subscribers behind a NAT64, and their border routers, a translator's interface and routes to it.

    The translators themselves are servers (`servers.translators`). Raises `MachineCannot`.
    """
    for border in network.by_role(Role.BORDER):
        groups = translators.translating(network, border.owner)
        if not groups:
            continue
        blocks = [block for vantage, _ in groups for block in vantage.subnets if isinstance(block, IPv4Network)]
        # The link has a route for the group's whole /24, so its halves take precedence.
        halves = [(str(half), None) for block in blocks for half in block.subnets(1)]
        _join(net.get(border.name).namespace, [], [*halves, (str(groups[0][1]), None)])
        for vantage, standing in groups:
            node = network.subscriber(vantage.id)
            v4 = next(block for block in vantage.subnets if isinstance(block, IPv4Network))
            controls = (a for a in network.control_addresses(vantage.id) if a.version == 4)
            own = [f"{address}/32" for address in (v4.network_address + SUBSCRIBER, *controls)]
            namespace: Namespace = net.get(node.name).namespace
            routes = [("default", network.mtu(vantage) - _TRANSLATED), (str(as_ipv6(standing, v4)), None)]
            _join(namespace, own, routes)
            namespace.set_sysctls({"net.ipv6.conf.all.forwarding": 1})


def _join(namespace: Namespace, addresses: Sequence[str], routes: Sequence[tuple[str, int | None]]) -> None:
    """Makes a translator's interface with its addresses and routes, each with its MTU if that is smaller."""
    name = translators.INTERFACE
    try:
        with namespace.netlink() as netlink:
            netlink.link("add", ifname=name, kind="tuntap", mode="tun")
            (index,) = netlink.link_lookup(ifname=name)
            netlink.link("set", index=index, state="up")
        namespace.configure(
            [
                *(rtnetlink.address(index, ip_interface(each)) for each in addresses),
                *(rtnetlink.route(prefix, None, index, mtu) for prefix, mtu in routes),
            ]
        )
    except (NetlinkError, OSError) as error:
        why = f"the kernel refuses its interface ({error})"
        raise MachineCannot("translate addresses for IPv6-only lines", why, _TUN_MISSING) from error


def _routes(nulled: Nulled) -> Iterator[tuple[str, str]]:
    """Yields the routes for a null-routed prefix: `throw` passes exceptions on to the next table."""
    yield str(nulled.prefix), "blackhole"
    yield from ((str(prefix), "throw") for prefix in nulled.spared)


def load(namespace: Namespace, rules: str, need: str) -> None:
    """Loads nftables rules into the kernel; raises `MachineCannot`, which names the `need` for them."""
    try:
        process = namespace.spawn(
            ["nft", "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError as error:
        raise MachineCannot(need, "nft is missing", _NFT_MISSING) from error
    _, complaint = process.communicate(rules)
    if process.returncode != 0:
        why = "nft refuses its rules: " + (complaint.strip() or "it gives no reason").splitlines()[0]
        raise MachineCannot(need, why, _NFT_MISSING)
