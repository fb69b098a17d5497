"""What border routers are ordered to do with packets, in a running country: to discard, to reject and to count them.

What is discarded on arrival has routes in a table of its own, which only what comes in from the gateway is looked up in
(RFC 5635, section 3); what is rejected, and what is counted, a table of nftables that is loaded as a whole.

Of packets that they have no route for, all routers can be made to tell each sender each time: Linux does so five times,
and then once a second (`icmp_ratelimit` is not about these errors), and outcomes would hang on who asked first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
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
"""Nobody's address, through which the packets go that have no other route."""
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
"""Octets by which an IPv4 packet that a subscriber of IPv6 alone sends, or has sent to him, is longer once translated:
what an IPv6 header has more, and one for fragments (RFC 7915, 4.1; Android's clatd takes off the same). Where its own
MTU is not as much less, a page hangs on whether "fragmentation needed" comes to its server, and is still known there.
"""
_TUN_MISSING: Final = "sudo modprobe tun, and let ordinary users open /dev/net/tun"
_NFT_MISSING: Final = (
    "sudo apt-get install nftables, and a kernel with CONFIG_NF_TABLES_INET, CONFIG_NFT_REJECT, _LIMIT and _NAT"
)


@dataclass(slots=True)
class Borders:
    """The border routers of a country, as the last orders have left them."""

    net: EmulatedNetwork
    network: Network
    _nulled: frozenset[Nulled] = frozenset()
    _rules: dict[str, str] = field(default_factory=dict)
    """Of nftables, by operator."""
    _counting: set[str] = field(default_factory=set)
    """The operators whose routers count."""
    _tell: bool = False

    def tell(self) -> None:
        """From now on, have every router tell of each IPv4 packet that it has no route for; raises `MachineCannot`."""
        if self._tell:
            return
        self._tell = True
        for role, purpose in ((Role.BORDER, "intl"), (Role.TRANSIT, "gateway")):
            for node in self.network.by_role(role):
                namespace: Namespace = self.net.get(node.name).namespace
                load(namespace, _UNROUTED, "tell of packets without a route")
                with namespace.netlink() as netlink:
                    (index,) = netlink.link_lookup(ifname=node.port_for(purpose).name)
                    nowhere = {"gateway": str(_NOWHERE), "oif": index, "flags": _ONLINK, "priority": _LAST}
                    netlink.route("add", dst="0.0.0.0/0", **nowhere)

    def discard(self, wanted: Damage) -> None:
        """Have the routers discard exactly what is null-routed; raises `MachineCannot`."""
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
                for prefix, kind in sorted(now - before):  # what spares sorts anywhere: no rule leads here yet, or
                    netlink.route("replace", dst=prefix, type=kind, table=_TABLE)  # the longer one counts in a moment
                for prefix, kind in sorted(before - now):
                    if prefix not in {p for p, _ in now}:
                        netlink.route("del", dst=prefix, type=kind, table=_TABLE)
                for family in _FAMILIES.values():
                    if bool(now) != bool(before):
                        verb = "add" if now else "del"
                        rule = {"priority": _RULE_PRIORITY, "iifname": interface, "table": _TABLE, "family": family}
                        netlink.rule(verb, **rule)
            except NetlinkError as error:
                why = f"the kernel refuses a table of routes of its own ({error})"
                raise MachineCannot("null-route at a border router", why, _TABLES_MISSING) from error

    def reject(self, operator: str, rejected: Iterable[Rejected]) -> None:
        """Have an operator's router reject exactly this; raises `MachineCannot`."""
        rules = rejections.ruleset(rejected)
        if rules == self._rules.get(operator, rejections.ruleset(())):
            return
        load(self._namespace(operator), rules, "reject packets at a border router")
        self._rules[operator] = rules

    def count(self, operator: str, counted: Sequence[Counted]) -> None:
        """Have an operator's router count exactly this, from nothing on; raises `MachineCannot`."""
        if not counted and operator not in self._counting:
            return
        load(self._namespace(operator), counting.ruleset(counted), "count packets at a border router")
        (self._counting.add if counted else self._counting.discard)(operator)

    def _namespace(self, operator: str) -> Namespace:
        namespace: Namespace = self.net.get(self.network.one(Role.BORDER, operator).name).namespace
        return namespace


def translate(net: EmulatedNetwork, network: Network) -> None:
    """Have border routers translate the addresses of whom a carrier-grade NAT is for; raises `MachineCannot`.

    Segments that a DPI box forges, or that come after a forged end, are translated as well.
    """
    for node in network.by_role(Role.BORDER):
        if rules := translation.ruleset(network, node):
            namespace: Namespace = net.get(node.name).namespace
            load(namespace, rules, "translate addresses at a border router")
            namespace.set_sysctls({"net.netfilter.nf_conntrack_tcp_be_liberal": 1})


def join_translators(net: EmulatedNetwork, network: Network) -> None:
    """Give those who are behind a NAT64, and their border routers, the interface of a translator, and routes to it.

    The translators themselves are servers (`servers.translators`). Raises `MachineCannot`.
    """
    for border in network.by_role(Role.BORDER):
        groups = translators.translating(network, border.owner)
        if not groups:
            continue
        blocks = [block for vantage, _ in groups for block in vantage.subnets if isinstance(block, IPv4Network)]
        # A group's /24 is on its line's link, too: its halves are the narrower.
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
    """A translator's interface, with addresses and what is sent there, each with its MTU where that is less."""
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
        raise MachineCannot("translate for lines of IPv6 alone", why, _TUN_MISSING) from error


def _routes(nulled: Nulled) -> Iterator[tuple[str, str]]:
    """Its routes: `throw` sends what is spared on to the next table."""
    yield str(nulled.prefix), "blackhole"
    yield from ((str(prefix), "throw") for prefix in nulled.spared)


def load(namespace: Namespace, rules: str, need: str) -> None:
    """Have the kernel take rules of nftables; raises `MachineCannot`, which says for what they are needed."""
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
