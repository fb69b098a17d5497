"""A topology worked out: every node, link, address and port number, as data.

Emulation builds it, the compiler writes rules for its switches, routing and name services are configured from it.

Address plan, per operator: the first /24 (and /64) of its prefixes is infrastructure (resolver .53, telephone .57, each
on a point-to-point subnet); each subscriber group has the next one: gateway .1, the host .10, hosted services from .80.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from shutdownlab.config.scalars import Address
from shutdownlab.config.scalars import Network as Prefix
from shutdownlab.inspection.apps import App, Service
from shutdownlab.model.topology import LinkClass, Topology, Vantage, VantageId

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Role(StrEnum):
    SUBSCRIBER = "subscriber"
    RESOLVER = "resolver"
    TELEPHONE = "telephone"
    BORDER = "border"
    TRANSIT = "transit"
    SERVERS = "servers"
    ROUTE_SERVER = "route-server"
    DPI_BOX = "dpi-box"
    ACCESS_SWITCH = "access-switch"
    DPI_SWITCH = "dpi-switch"
    GATEWAY_SWITCH = "gateway-switch"
    EXCHANGE_SWITCH = "exchange-switch"

    @property
    def is_openflow(self) -> bool:
        return self in {Role.ACCESS_SWITCH, Role.DPI_SWITCH, Role.GATEWAY_SWITCH}


class End(NamedTuple):
    """One end of a link."""

    node: str
    port: str


@dataclass(frozen=True, slots=True)
class Port:
    """An interface. `number` is its OpenFlow port on a switch; `purpose` is what the compiler knows it by."""

    name: str
    mac: str
    addresses: tuple[Interface, ...]
    number: int
    purpose: str
    peer: End


@dataclass(frozen=True, slots=True)
class Route:
    """`prefix` through `via`, or on the link itself (None)."""

    prefix: Prefix
    via: Address | None
    port: str


@dataclass(slots=True)
class Node:
    """A host, router, switch or box. `owner`: an operator, a transit, `gateway` or `exchange`."""

    name: str
    role: Role
    owner: str
    title: str
    vantage: Vantage | None = None
    dpid: int = 0
    ports: dict[str, Port] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)

    def port_for(self, purpose: str) -> Port:
        """The port of a purpose; raises `KeyError`."""
        for port in self.ports.values():
            if port.purpose == purpose:
                return port
        raise KeyError(f"{self.name} has no port for {purpose}")

    def address(self, version: int) -> Address:
        """The first address of an IP version; raises `StopIteration` where there is none."""
        return next(a.ip for port in self.ports.values() for a in port.addresses if a.version == version)


@dataclass(frozen=True, slots=True)
class Link:
    a: End
    b: End
    kind: LinkClass


@dataclass(frozen=True, slots=True)
class Hosted:
    """An endpoint of an app as it lives in this network: on `node`, under these names and addresses.

    `blocks`: the app's own prefixes that hold the addresses, where the catalogue has both.
    """

    app: str
    node: str
    names: tuple[str, ...]
    addresses: tuple[Address, ...]
    services: tuple[Service, ...]
    domestic: bool
    blocks: tuple[Prefix, ...] = ()

    @property
    def site_name(self) -> str:
        """What its web site is called: the first host name, or the first address."""
        return self.names[0] if self.names else str(self.addresses[0])


PLAIN = LinkClass()
_LAN = {
    "gateway": (ipaddress.ip_network("198.18.0.0/24"), ipaddress.ip_network("2001:db8:ffff:1::/64")),
    "exchange": (ipaddress.ip_network("198.18.1.0/24"), ipaddress.ip_network("2001:db8:ffff:2::/64")),
}
_BACKBONE = (ipaddress.ip_network("198.18.2.0/24"), ipaddress.ip_network("2001:db8:ffff:3::/64"))


@dataclass(slots=True)
class Network:
    """Build one with `lay_out`. `subnets` are the /24 and /64 of each subscriber group."""

    topology: Topology
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    subnets: dict[VantageId, tuple[Prefix, ...]] = field(default_factory=dict)
    hosted: list[Hosted] = field(default_factory=list)
    vantages: tuple[Vantage, ...] = ()
    _by_name: dict[str, Hosted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vantages = tuple(self.topology.vantages())

    def by_role(self, role: Role, owner: str | None = None) -> Iterator[Node]:
        return (n for n in self.nodes.values() if n.role is role and (owner is None or n.owner == owner))

    def one(self, role: Role, owner: str) -> Node:
        return next(self.by_role(role, owner))

    def subscriber(self, vantage: VantageId) -> Node:
        return self.nodes[node_name(vantage)]

    def hosted_as(self, name: str) -> Hosted | None:
        """What answers under a host name or an address, if anything of this network does."""
        if not self._by_name:
            for hosted in reversed(self.hosted):  # the first one that bears a name counts
                self._by_name |= dict.fromkeys((*hosted.names, *map(str, hosted.addresses)), hosted)
        return self._by_name.get(name)

    def hosted_on(self, node: str) -> tuple[Address, ...]:
        """The addresses that a node has for what it hosts, besides its own."""
        return tuple(dict.fromkeys(a for h in self.hosted if h.node == node for a in h.addresses))

    def addresses_of(self, app: str) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(a for h in self.hosted if h.app == app for a in h.addresses))


def node_name(vantage: VantageId) -> str:
    """The Mininet name of a subscriber group: `kcell-almaty`, `kcell-almaty-government`."""
    return "-".join(vantage[:2] if vantage.group == "ordinary" else vantage)


class _Builder:
    def __init__(self, topology: Topology, apps: Mapping[str, App]) -> None:
        self.topology = topology
        self.apps = apps
        self.network = Network(topology)
        self.macs = itertools.count(1)
        self.dpids = itertools.count(1)
        self.switches = itertools.count(1)

    def node(self, name: str, role: Role, owner: str, title: str, vantage: Vantage | None = None) -> Node:
        node = Node(name, role, owner, title, vantage, next(self.dpids) if role.is_openflow else 0)
        self.network.nodes[name] = node
        return node

    def link(
        self, a: tuple[Node, str, list[Interface]], b: tuple[Node, str, list[Interface]], kind: LinkClass = PLAIN
    ) -> None:
        """Join two nodes; each end is (node, purpose, addresses). Ports of switches are named across the country."""
        ends = [End(node.name, self._port_name(node, purpose)) for node, purpose, _ in (a, b)]
        for (node, purpose, addresses), own, peer in zip((a, b), ends, reversed(ends), strict=True):
            number = len(node.ports) + 1
            node.ports[own.port] = Port(own.port, self._mac(), tuple(addresses), number, purpose, peer)
        self.network.links.append(Link(ends[0], ends[1], kind))

    def _port_name(self, node: Node, purpose: str) -> str:
        """At most 15 characters (IFNAMSIZ), unique where several switches share a namespace."""
        if node.role.is_openflow or node.role is Role.EXCHANGE_SWITCH:
            return f"s{list(self.network.nodes).index(node.name)}p{len(node.ports) + 1}"
        return purpose if purpose.isalnum() and len(purpose) <= 15 else f"eth{len(node.ports)}"

    def _mac(self) -> str:
        return ":".join(f"{byte:02x}" for byte in (0x02 << 40 | next(self.macs)).to_bytes(6, "big"))

    def build(self) -> Network:
        topology = self.topology
        gateway = self.node("gateway", Role.GATEWAY_SWITCH, "gateway", topology.gateway.title)
        exchange = self.node("exchange", Role.EXCHANGE_SWITCH, "exchange", topology.exchange.title)
        server = self.node("route-server", Role.ROUTE_SERVER, "exchange", f"{topology.exchange.title} route server")
        self.link((server, "ix", _lan_address("exchange", 1)), (exchange, "route-server", []))
        for index, name in enumerate(topology.transits):
            self._transit(name, index, gateway)
        self._backbone()
        for index, name in enumerate(topology.operators):
            self._operator(name, index, gateway, exchange)
        return self.network

    def _transit(self, name: str, index: int, gateway: Node) -> None:
        transit = self.topology.transits[name]
        router = self.node(name, Role.TRANSIT, name, transit.title)
        servers = self.node(f"{name}-servers", Role.SERVERS, name, f"servers behind {transit.title}")
        kind = self.topology.links.get("transit", PLAIN)
        self.link((router, "gateway", _lan_address("gateway", 101 + index)), (gateway, name, []), kind)
        pools = _subnets(transit.prefixes)
        first = next(pools)
        self.link((router, "servers", _hosts(first, 1)), (servers, "eth0", _hosts(first, 2)))
        servers.routes += _default(first, "eth0")
        self._host(servers, transit.serves, _allocator(first, 10), domestic=False)
        for hosted in self.network.hosted:
            if hosted.node == servers.name:
                own = [a for a in hosted.addresses if not any(a in subnet for subnet in first)]
                via = {4: _hosts(first, 2)[0].ip, 6: _hosts(first, 2)[1].ip}
                router.routes += [Route(ipaddress.ip_network(a), via[a.version], "servers") for a in own]

    def _backbone(self) -> None:
        """The transits reach each other abroad: a link between each pair."""
        routers = list(self.network.by_role(Role.TRANSIT))
        blocks = _pairs(_BACKBONE, 30, 126)
        for (a, b), subnet in zip(itertools.combinations(routers, 2), blocks, strict=False):
            self.link((a, f"to{b.name}"[:15], _hosts(subnet, 1)), (b, f"to{a.name}"[:15], _hosts(subnet, 2)))

    def _operator(self, name: str, index: int, gateway: Node, exchange: Node) -> None:
        operator = self.topology.operators[name]
        border = self.node(f"{name}-border", Role.BORDER, name, f"{operator.title} border router")
        dpi = self.node(f"{name}-dpi", Role.DPI_SWITCH, name, f"{operator.title} DPI switch")
        box = self.node(f"{name}-box", Role.DPI_BOX, name, f"{operator.title} DPI box")
        self.link((border, "intl", _lan_address("gateway", 11 + index)), (dpi, "border-intl", []))
        self.link((dpi, "gateway", []), (gateway, name, []))
        if operator.exchange:
            self.link((border, "ix", _lan_address("exchange", 11 + index)), (dpi, "border-ix", []))
            self.link((dpi, "exchange", []), (exchange, name, []))
        self.link((box, "inside", []), (dpi, "box-inside", []))
        self.link((box, "outside", []), (dpi, "box-outside", []))
        pools = _subnets(operator.prefixes)
        self._infrastructure(name, border, next(pools))
        for region, groups in operator.regions.items():
            access = self.node(f"{name}-{region}-sw", Role.ACCESS_SWITCH, name, f"{operator.title} {region}")
            vantages = [v for v in self.network.vantages if v.id[:2] == (name, region)]
            subnets = {vantage.id: next(pools) for vantage in vantages}
            self.network.subnets |= subnets
            gateways = [address for subnet in subnets.values() for address in _hosts(subnet, 1)]
            self.link((border, f"acc{len(border.ports)}", gateways), (access, "uplink", []))
            for vantage in vantages:
                subnet = subnets[vantage.id]
                title = f"{operator.title}, {self.topology.regions[region].title}, {vantage.id.group}"
                host = self.node(node_name(vantage.id), Role.SUBSCRIBER, name, title, vantage)
                kind = self.topology.links.get(vantage.access.value, PLAIN)
                self.link((host, "eth0", _hosts(subnet, 10)), (access, str(vantage.id), []), kind)
                host.routes += _default(subnet, "eth0")
                self._host(host, groups[vantage.id.group].serves, _allocator(subnet, 80), domestic=True)

    def _infrastructure(self, name: str, border: Node, subnet: tuple[Prefix, ...]) -> None:
        title = self.topology.operators[name].title
        for role, number in ((Role.RESOLVER, 0x53), (Role.TELEPHONE, 0x57)):
            host = self.node(f"{name}-{role}", role, name, f"{title} {role}")
            last = 53 if role is Role.RESOLVER else 57
            v4, v6 = (block.network_address for block in subnet)
            ours: list[Interface] = [
                ipaddress.ip_interface(f"{v4 + last}/30"),
                ipaddress.ip_interface(f"{v6 + number}/126"),
            ]
            theirs: list[Interface] = [
                ipaddress.ip_interface(f"{v4 + last + 1}/30"),
                ipaddress.ip_interface(f"{v6 + number - 1}/126"),
            ]
            self.link((border, role.value, theirs), (host, "eth0", ours))
            host.routes += [Route(_everywhere(a.version), a.ip, "eth0") for a in theirs]

    def _host(self, node: Node, apps: tuple[str, ...], fresh: Iterator[list[Address]], *, domestic: bool) -> None:
        """Give every endpoint of the apps that `node` serves its addresses."""
        for app in apps:
            prefixes = self.apps[app].prefixes
            for endpoint in self.apps[app].endpoints:
                given = tuple(p.network_address for p in endpoint.addresses)
                blocks = tuple(p for p in prefixes if any(a in p for a in given))
                hosts = [(endpoint.names, given)]
                if not given:
                    hosts = [((name,), tuple(next(fresh))) for name in endpoint.names]
                self.network.hosted += [
                    Hosted(app, node.name, names, addresses, endpoint.ports, domestic, blocks)
                    for names, addresses in hosts
                ]


def lay_out(topology: Topology, apps: Mapping[str, App]) -> Network:
    """Work out the whole network of a checked topology; pure and deterministic."""
    return _Builder(topology, apps).build()


def _everywhere(version: int) -> Prefix:
    return ipaddress.ip_network("0.0.0.0/0" if version == 4 else "::/0")


def _default(subnet: tuple[Prefix, ...], port: str) -> list[Route]:
    return [Route(_everywhere(block.version), block.network_address + 1, port) for block in subnet]


def _hosts(subnet: tuple[Prefix, ...], number: int) -> list[Interface]:
    return [ipaddress.ip_interface(f"{block.network_address + number}/{block.prefixlen}") for block in subnet]


def _lan_address(lan: str, number: int) -> list[Interface]:
    return _hosts(_LAN[lan], number)


def _subnets(prefixes: tuple[Prefix, ...]) -> Iterator[tuple[Prefix, ...]]:
    """One (/24, /64) pair after another out of an owner's prefixes."""
    return _pairs(prefixes, 24, 64)


def _pairs(prefixes: tuple[Prefix, ...], v4_length: int, v6_length: int) -> Iterator[tuple[Prefix, ...]]:
    return zip(_blocks(prefixes, 4, v4_length), _blocks(prefixes, 6, v6_length), strict=False)


def _blocks(prefixes: tuple[Prefix, ...], version: int, length: int) -> Iterator[Prefix]:
    for prefix in prefixes:
        if prefix.version == version:
            yield from prefix.subnets(new_prefix=length)


def _allocator(subnet: tuple[Prefix, ...], first: int) -> Iterator[list[Address]]:
    return ([block.network_address + number for block in subnet] for number in itertools.count(first))


__all__ = ["Hosted", "Link", "Network", "Node", "Port", "Role", "Route", "lay_out", "node_name"]
