"""A country as a Mininet topology: the hosts, routers, switches and links of a `Network`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mininet.topo import Topo

from shutdownlab.model.network import PLAIN, Link, Network, Node, Port, Role
from shutdownlab.network.hops import Hops

_ROUTERS = {Role.BORDER, Role.TRANSIT}
_SERVING = {Role.RESOLVER, Role.TELEPHONE, Role.SERVERS}
_SUBSCRIBERS = {Role.SUBSCRIBER, Role.CONTROL}
_STOCK_NAME_LIMIT = 15


class CountryTopo(Topo):  # type: ignore[misc]
    """The hosts, routers, DPI boxes, switches and links of a `Network`, with all addresses, routes and port numbers.

    A switch's `instance` is the owner whose Open vSwitch it belongs to. `stock`: whether stock Mininet builds it. It
    names kernel interfaces after switches, so long switch names are replaced by `s1`, `s2` …
    """

    def build(
        self, network: Network, *, stock: bool = False, targets: Callable[[Node], tuple[str, ...]] | None = None
    ) -> None:
        names = {
            node.name: self._add(network, node, stock, targets(node) if targets else ())
            for node in network.nodes.values()
        }
        for link in network.links:
            a, b = (network.nodes[end.node].ports[end.port] for end in (link.a, link.b))
            self.addLink(
                names[link.a.node],
                names[link.b.node],
                port1=a.number,
                port2=b.number,
                intfName1=a.name,
                intfName2=b.name,
                **({"addr1": a.mac, "addr2": b.mac} if stock else _options(link, a, b)),
            )

    def _add(self, network: Network, node: Node, stock: bool, targets: tuple[str, ...]) -> str:
        if node.role is Role.EXCHANGE_SWITCH:
            return str(self.addSwitch(node.name, bridge=True, dpid="ffff"))
        if node.role.is_openflow:
            name = node.name if len(node.name) <= _STOCK_NAME_LIMIT or not stock else f"s{node.dpid}"
            settings: dict[str, Any] = {} if stock else {"instance": node.owner, "targets": targets}
            return str(self.addSwitch(name, dpid=f"{node.dpid:x}", failMode="secure", **settings))
        addresses = [(port.name, str(address)) for port in node.ports.values() for address in port.addresses]
        hosted = [("eth0", str(address)) for address in network.hosted_on(node.name)]
        if node.vantage is None:
            addresses += hosted
        routes = [
            (_prefix(route.prefix), str(route.via) if route.via else None, route.port, route.mtu)
            for route in node.routes
        ]
        if stock:
            return str(self.addHost(node.name, ip=next((a for _, a in addresses if ":" not in a), None)))
        forwarding = node.role in _ROUTERS
        options: dict[str, Any] = {}
        if hosted or node.role in _SERVING:
            options["serves"] = True
        if node.role in _SUBSCRIBERS:
            owner = node.owner if node.vantage is None else node.vantage.home or node.owner
            options["resolv"] = _resolv(network, owner)
        if node.vantage is not None:
            subnets, controls = network.subnets[node.vantage.id], network.control_addresses(node.vantage.id)
            pairs = zip(subnets, controls, strict=True)
            spare = [("eth0", f"{address}/{subnet.prefixlen}") for subnet, address in pairs]
            # A subscriber's own traffic comes from its own address, not from that of a site hosted there.
            options["spare_addresses"] = [*hosted, *spare]
            if node.vantage.nat64 is not None:  # its IPv4 addresses are its translator's
                addresses = [(port, address) for port, address in addresses if ":" in address]
                options["spare_addresses"] = [(port, address) for port, address in spare if ":" in address]
        return str(self.addHost(node.name, addresses=addresses, routes=routes, forwarding=forwarding, **options))


def _resolv(network: Network, owner: str) -> str:
    """Returns the /etc/resolv.conf of the subscribers of an operator, or of a home network."""
    resolver = network.one(Role.RESOLVER, owner)
    return "".join(f"nameserver {address}\n" for address in resolver.addresses)


def _options(link: Link, a: Port, b: Port) -> dict[str, Any]:
    """Returns `LabLink`'s arguments other than names and ports. `link.kind` has the delay in s, bandwidth in kbit/s."""
    ends = {
        place: {"mac": port.mac} | ({"mtu": port.mtu} if port.mtu < PLAIN.mtu else {})
        for place, port in (("params1", a), ("params2", b))
    }
    kind = link.kind
    bandwidth = f"{kind.bandwidth}kbit" if kind.bandwidth else None
    shape = {"delay_ms": kind.delay * 1000, "loss": kind.loss, "bandwidth": bandwidth}
    hops = {"hops": Hops(link.routers, link.local)} if link.routers else {}
    return {**ends, **shape, **hops}


def _prefix(prefix: object) -> str:
    return "default" if str(prefix) in {"0.0.0.0/0", "::/0"} else str(prefix)
