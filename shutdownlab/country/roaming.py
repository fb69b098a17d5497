"""Roaming subscribers in a running country: their nodes send everything through tunnels to their home network.

A node keeps its addresses from the visited operator for the tunnels themselves: rules route packets from those over its
line, and everything else goes into the tunnel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface, ip_network
from typing import Final

from pyroute2 import NetlinkError

from shutdownlab.config.addresses import Address
from shutdownlab.model import address_plan as plan
from shutdownlab.model.network import Network, Node
from shutdownlab.model.routing import router_of
from shutdownlab.model.topology import Vantage
from shutdownlab.network.home_tunnels import Tunnel, TunnelEnd, start_tunnels
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.system import rtnetlink
from shutdownlab.system.child_process import Forked
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace

INTERFACE: Final = "home"
"""The tunnels' interface, on each node where some end."""
_TABLE: Final = 101
_RULE_PRIORITY: Final = 101
_FAMILIES: Final = {4: 2, 6: 10}
_QUEUE: Final = 5_000
"""Packets that may wait for the process: a burst must not be lost because the machine is busy."""
_KEPT: Final = 16_384
"""Bytes that a home's router queues for each unresolved neighbour."""
_TABLES_MISSING: Final = "use a kernel with CONFIG_IP_MULTIPLE_TABLES"
_TUN_MISSING: Final = "sudo modprobe tun, and let ordinary users open /dev/net/tun"


def begin_tunnels(net: EmulatedNetwork, network: Network) -> Forked | None:
    """Sets up the tunnels of roaming subscribers and their home routers, and starts the process that carries them.

    Returns None if nobody roams. Raises `MachineCannot`.
    """
    guests = [vantage for vantage in network.vantages if vantage.home]
    if not guests:
        return None
    ends: dict[str, TunnelEnd] = {}
    for vantage in guests:
        node = network.subscriber(vantage.id)
        _join_guest(net.get(node.name).namespace, vantage, node, network.tunnel_mtu)
        ends[node.name] = _end(net, node, [vantage], at_home=False)
    for home in network.topology.homes:
        router, roaming = router_of(network, home), [vantage for vantage in guests if vantage.home == home]
        routes = [str(ip_network(a)) for vantage in roaming for bearer in vantage.bearers for a in bearer.inner]
        namespace: Namespace = net.get(router.name).namespace
        _make(namespace, network.tunnel_mtu, [], routes)
        # Packets queued for unresolved neighbours must not fill the tunnels' socket, which other packets use too.
        namespace.set_sysctls({f"net/ipv4/neigh/{port}/unres_qlen_bytes": _KEPT for port in router.ports})
        ends[router.name] = _end(net, router, roaming, at_home=True)
    return start_tunnels(ends)


def _end(net: EmulatedNetwork, node: Node, guests: list[Vantage], *, at_home: bool) -> TunnelEnd:
    return TunnelEnd(net.get(node.name).namespace.path, INTERFACE, at_home, tuple(_tunnels(guests, at_home=at_home)))


def _tunnels(guests: list[Vantage], *, at_home: bool) -> Iterator[Tunnel]:
    for vantage in guests:
        for bearer in vantage.bearers:
            here, there = (bearer.end, bearer.outer) if at_home else (bearer.outer, bearer.end)
            yield Tunnel(bearer.teid, str(here), str(there), tuple(address.packed for address in bearer.inner))


def _join_guest(namespace: Namespace, vantage: Vantage, node: Node, mtu: int) -> None:
    own, spare = vantage.bearers
    routes = [str(plan.everywhere(version)) for version in _FAMILIES]
    _make(namespace, mtu, [(address, False) for address in own.inner] + [(a, True) for a in spare.inner], routes)
    line = next(iter(node.ports.values())).name
    try:
        with namespace.netlink() as netlink:
            (index,) = netlink.link_lookup(ifname=line)
            for block in vantage.subnets:
                family, gateway = _FAMILIES[block.version], str(block.network_address + plan.ROUTER)
                netlink.rule("add", priority=_RULE_PRIORITY, src=str(block), table=_TABLE, family=family)
                everywhere = str(plan.everywhere(block.version))
                netlink.route("add", dst=everywhere, gateway=gateway, oif=index, table=_TABLE, family=family)
    except NetlinkError as error:
        why = f"the kernel refuses an additional routing table ({error})"
        raise MachineCannot("connect roaming subscribers to their home network", why, _TABLES_MISSING) from error


def _make(namespace: Namespace, mtu: int, addresses: Sequence[tuple[Address, bool]], routes: list[str]) -> None:
    """Makes the interface with its addresses and routes; spare addresses are never used as a default source."""
    try:
        with namespace.netlink() as netlink:
            netlink.link("add", ifname=INTERFACE, kind="tuntap", mode="tun")
            (index,) = netlink.link_lookup(ifname=INTERFACE)
            netlink.link("set", index=index, mtu=mtu, txqlen=_QUEUE, state="up")
        namespace.configure(
            [
                *(rtnetlink.address(index, ip_interface(str(a)), deprecated=spare) for a, spare in addresses),
                *(rtnetlink.route(prefix, None, index) for prefix in routes),
            ]
        )
    except (NetlinkError, OSError) as error:
        why = f"the kernel refuses the interface of a tunnel ({error})"
        raise MachineCannot("connect roaming subscribers to their home network", why, _TUN_MISSING) from error
