"""The laid-out network of a topology: every node, link, address and port number, as data.

Emulation builds it; the compiler writes rules for its switches; routing and name services are configured from it. The
address plan (`address_plan`) says which node has which address.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

from shutdownlab.config.addresses import Address, Interface, IpPrefix
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.inspection.apps import App, Service
from shutdownlab.model import address_plan as plan
from shutdownlab.model.address_plan import Pair, everywhere, hosts
from shutdownlab.model.cables import EXCHANGE, GATEWAY
from shutdownlab.model.links import LinkClass
from shutdownlab.model.naming import names_of
from shutdownlab.model.roles import Role
from shutdownlab.model.topology import ServerProgram, Topology, Vantage, VantageId

PLAIN = LinkClass()


class End(NamedTuple):
    """One end of a link."""

    node: str
    port: str


@dataclass(frozen=True, slots=True)
class Port:
    """An interface. `number`: its OpenFlow port on a switch; `purpose`: the compiler's name for it; `mtu`: a host's or
    router's, in octets."""

    name: str
    mac: str
    addresses: tuple[Interface, ...]
    number: int
    purpose: str
    peer: End
    mtu: int = PLAIN.mtu


@dataclass(frozen=True, slots=True)
class Route:
    """A route to `prefix` through the next hop `via`, or directly on the link (None). `mtu`: of the route, in octets;
    None: the link's."""

    prefix: IpPrefix
    via: Address | None
    port: str
    mtu: int | None = None


@dataclass(slots=True)
class Node:
    """A host, router, switch or box. `owner`: an operator, a transit, a gateway, `exchange` or the observatory."""

    name: str
    role: Role
    owner: str
    title: str
    vantage: Vantage | None = None
    dpid: int = 0
    ports: dict[str, Port] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)

    def port_for(self, purpose: str) -> Port:
        """Returns the port with a purpose; raises `KeyError` if there is none."""
        for port in self.ports.values():
            if port.purpose == purpose:
                return port
        raise KeyError(f"{self.name} has no port for {purpose}")

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of all its interfaces."""
        return tuple(own.ip for port in self.ports.values() for own in port.addresses)

    def address(self, version: int) -> Address:
        """Returns its public address of an IP version: the first one; for a roaming subscriber, the first one from its
        home network. Raises `StopIteration` if there is none."""
        own = self.addresses
        if self.vantage is not None and self.vantage.bearers:
            own = self.vantage.bearers[0].inner
        return next(address for address in own if address.version == version)


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `routers`: the addresses of each router emulated on the link, from a to b; `local`: the link's own
    subnets."""

    a: End
    b: End
    kind: LinkClass
    routers: tuple[tuple[Address, ...], ...] = ()
    local: Pair = ()


@dataclass(frozen=True)
class Hosted:
    """An endpoint of an app as this network hosts it: on `node`, under these names and addresses.

    `blocks`: the app's own prefixes that contain the addresses, if the catalogue has both. `program`: the user's own
    server program that answers there instead of an app's services; `app` is then its name.
    """

    app: str
    node: str
    names: tuple[str, ...]
    addresses: tuple[Address, ...]
    services: tuple[Service, ...]
    domestic: bool
    blocks: tuple[IpPrefix, ...] = ()
    program: ServerProgram | None = None

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Its addresses as text."""
        return tuple(map(str, self.addresses))

    @property
    def site_name(self) -> str:
        """The name of its web site: the first host name, or else the first address."""
        return self.names[0] if self.names else str(self.addresses[0])


@dataclass(slots=True)
class Network:
    """A laid-out network; build one with `lay_out`. `subnets`: the /24 and /64 of each subscriber group. `instances`:
    further hosts of services abroad, at the same addresses (anycast); `hosted` has the one abroad."""

    topology: Topology
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    subnets: dict[VantageId, tuple[IpPrefix, ...]] = field(default_factory=dict)
    hosted: list[Hosted] = field(default_factory=list)
    instances: list[Hosted] = field(default_factory=list)
    vantages: tuple[Vantage, ...] = ()
    _by_name: dict[str, Hosted] = field(default_factory=dict)
    _subscribers: dict[VantageId, str] = field(default_factory=dict)
    _of_operator: dict[str, list[tuple[int, Vantage]]] = field(default_factory=dict)
    _vantage_places: dict[VantageId, int] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _by_role: dict[tuple[Role, str | None], list[Node]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Network({self.topology.name}: {len(self.nodes)} nodes, {len(self.links)} links)"

    def __post_init__(self) -> None:
        self.vantages = tuple(self.topology.vantages())
        for place, vantage in enumerate(self.vantages):
            self._of_operator.setdefault(vantage.id.operator, []).append((place, vantage))
            self._vantage_places[vantage.id] = place

    def add(self, node: Node) -> None:
        """Adds a new node."""
        self._places[node.name] = len(self.nodes)
        self.nodes[node.name] = node
        for owner in (None, node.owner):
            self._by_role.setdefault((node.role, owner), []).append(node)
        if node.vantage is not None:
            self._subscribers[node.vantage.id] = node.name

    def by_role(self, role: Role, owner: str | None = None) -> Iterator[Node]:
        """Returns the nodes of a role, all or one owner's, in the order in which they were added."""
        return iter(self._by_role.get((role, owner), ()))

    def place(self, node: str) -> int:
        """Returns the index of a node, in the order in which nodes were added, from 0."""
        return self._places[node]

    def one(self, role: Role, owner: str) -> Node:
        return next(self.by_role(role, owner))

    def gateway_of(self, network: str) -> Node:
        """Returns the switch of the gateway to which an operator or transit is connected."""
        return self.one(Role.GATEWAY_SWITCH, self.topology.gateway_of(network))

    def subscriber(self, vantage: VantageId) -> Node:
        return self.nodes[self._subscribers[vantage]]

    def mtu(self, vantage: Vantage) -> int:
        """Returns the MTU of a vantage point's line, in octets."""
        if vantage.home:
            return self.tunnel_mtu
        return self.topology.links.get(vantage.access.value, PLAIN).mtu

    @property
    def tunnel_mtu(self) -> int:
        """The MTU inside roaming subscribers' tunnels, in octets: small enough to need no fragmentation on any way
        home."""
        kinds = (kind.mtu for kind in self.topology.links.values())
        return min(PLAIN.mtu, *self.topology.mtus.values(), *kinds) - plan.TUNNEL_HEADERS

    def resolver_of(self, vantage: Vantage) -> Node:
        """Returns the resolver of a subscriber group: its operator's, or that of its home network."""
        return self.one(Role.RESOLVER, vantage.home or vantage.id.operator)

    @property
    def translates(self) -> bool:
        """Whether some line carries IPv6 only, so that packets which are IPv4 at either end are longer on the way."""
        return any(vantage.nat64 is not None for vantage in self.vantages)

    @property
    def is_narrow(self) -> bool:
        """Whether some line, cable or tunnel has an MTU below Ethernet's."""
        if self.topology.homes:
            return True
        kinds = (kind.mtu for kind in self.topology.links.values())
        return any(mtu < PLAIN.mtu for mtu in (*self.topology.mtus.values(), *kinds))

    def place_of(self, vantage: VantageId) -> int:
        """Returns the index of a subscriber group among all, from 0."""
        return self._vantage_places[vantage]

    def vantages_of(self, operator: str) -> Sequence[tuple[int, Vantage]]:
        """Returns the subscriber groups of an operator, each with its index among all."""
        return self._of_operator.get(operator, ())

    def control_addresses(self, vantage: VantageId) -> tuple[Address, ...]:
        """Returns the addresses of a subscriber group's controls: in its subnets, but exempt from every policy."""
        return tuple(subnet.network_address + plan.SUBSCRIBER_CONTROL for subnet in self.subnets[vantage])

    def hosted_as(self, name: str) -> Hosted | None:
        """Returns what is hosted at a host name or an address, or None."""
        if not self._by_name:
            for hosted in reversed(self.hosted):  # the first one with a name wins
                self._by_name |= dict.fromkeys((*hosted.names, *hosted.texts), hosted)
        return self._by_name.get(name)

    @property
    def served(self) -> Iterator[Hosted]:
        """Everything that is hosted anywhere, further anycast instances included."""
        return itertools.chain(self.hosted, self.instances)

    def elsewhere(self, hosted: Hosted) -> tuple[str, ...]:
        """Returns the nodes with further anycast instances of what is hosted."""
        there = (each.node for each in self.instances if each.addresses == hosted.addresses)
        return tuple(dict.fromkeys(node for node in there if node != hosted.node))

    def anycast_on(self, node: str) -> tuple[Address, ...]:
        """Returns the addresses of a node that other nodes have too."""
        shared = {address for each in self.instances for address in each.addresses}
        return tuple(address for address in self.hosted_on(node) if address in shared) if shared else ()

    def names_hosted(self) -> frozenset[str]:
        """Returns every host name that is served."""
        return frozenset(name for hosted in self.hosted for name in hosted.names)

    def addresses_hosted(self) -> frozenset[Address]:
        """Returns every address at which something is served."""
        return frozenset(address for hosted in self.hosted for address in hosted.addresses)

    def hosted_on(self, node: str) -> tuple[Address, ...]:
        """Returns the addresses that a node has for what it hosts, beside its own."""
        return tuple(dict.fromkeys(a for h in self.served if h.node == node for a in h.addresses))

    def addresses_of(self, app: str) -> tuple[Address, ...]:
        return tuple(dict.fromkeys(a for h in self.hosted if h.app == app for a in h.addresses))


class _Builder:
    def __init__(self, topology: Topology, apps: Mapping[str, App]) -> None:
        self.topology = topology
        self.apps = apps
        self.network = Network(topology)
        self.vantages: dict[tuple[str, str], list[Vantage]] = {}
        for vantage in self.network.vantages:
            self.vantages.setdefault((vantage.id.operator, vantage.id.region), []).append(vantage)
        self.names = names_of(topology)
        self.macs = itertools.count(1)
        self.dpids = itertools.count(1)
        self.switches = itertools.count(1)
        self.lans = dict(zip(topology.all_gateways, (plan.GATEWAY_LAN, *plan.FURTHER_LANS), strict=False))
        self.abroad = plan.backbone_links()
        """Subnets for links between routers abroad."""

    def node(self, role: Role, named: tuple[str, ...], owner: str, title: str, vantage: Vantage | None = None) -> Node:
        """Adds a node. `named`: the user's names that distinguish it from others of its role."""
        dpid = next(self.dpids) if role.is_openflow else 0
        node = Node(self.names[role, named], role, owner, title, vantage, dpid)
        self.network.add(node)
        return node

    def link(
        self, a: tuple[Node, str, list[Interface]], b: tuple[Node, str, list[Interface]], kind: LinkClass = PLAIN,
        hops: Pair = (), first_hop: int = 0, local: Pair = (), mtu: int = PLAIN.mtu,
    ) -> None:  # fmt: skip
        """Joins two nodes; each end is (node, purpose, addresses). Switch ports get names that are unique in the
        country.

        `hops`: the subnets from which the routers on the link have addresses, starting at b with host number
        `first_hop`. `mtu`: of router interfaces at its ends.
        """
        ends = [End(node.name, self._port_name(node, purpose)) for node, purpose, _ in (a, b)]
        for (node, purpose, addresses), own, peer in zip((a, b), ends, reversed(ends), strict=True):
            number = len(node.ports) + 1
            known = mtu if addresses else PLAIN.mtu
            node.ports[own.port] = Port(
                own.port, mac_of(next(self.macs)), tuple(addresses), number, purpose, peer, known
            )
        routers = [tuple(block.network_address + first_hop + place for block in hops) for place in range(kind.hops)]
        self.network.links.append(Link(ends[0], ends[1], kind, tuple(reversed(routers)), local if routers else ()))

    def _port_name(self, node: Node, purpose: str) -> str:
        """Returns a port name of at most 15 characters (IFNAMSIZ), unique where several switches share a namespace."""
        if node.role.is_openflow or node.role is Role.EXCHANGE_SWITCH:
            return f"s{self.network.place(node.name)}p{len(node.ports) + 1}"
        return purpose if purpose.isalnum() and len(purpose) <= 15 else f"eth{len(node.ports)}"

    def build(self) -> Network:
        topology = self.topology
        self.node(Role.GATEWAY_SWITCH, (), GATEWAY, topology.gateway.title)
        for name, further in topology.gateways.items():
            self.node(Role.GATEWAY_SWITCH, (name,), name, further.title)
        exchange = self.node(Role.EXCHANGE_SWITCH, (), "exchange", topology.exchange.title)
        server = self.node(Role.ROUTE_SERVER, (), "exchange", f"{topology.exchange.title} route server")
        self.link((server, "ix", hosts(plan.EXCHANGE_LAN, plan.ROUTE_SERVER)), (exchange, "route-server", []))
        for index, name in enumerate(topology.transits):
            self._transit(name, index)
        self._backbone()
        for index, name in enumerate(topology.operators):
            self._operator(name, index, exchange)
        for name in topology.operators:
            self._point_to_point(name, Role.CONTROL, plan.CONTROL)
        for name in topology.homes:
            self._home(name)
        return self.network

    def _transit(self, name: str, index: int) -> None:
        transit, gateway = self.topology.transits[name], self.network.gateway_of(name)
        lan = self.lans[gateway.owner]
        router = self.node(Role.TRANSIT, (name,), name, transit.title)
        servers = self.node(Role.SERVERS, (name,), name, f"servers behind {transit.title}")
        kind = self.topology.links.get("transit", PLAIN)
        self.link(
            (router, "gateway", hosts(lan, plan.FIRST_TRANSIT + index)), (gateway, name, []), kind,
            lan, plan.FIRST_HOP_ABROAD + index * plan.HOPS_ABROAD, lan,
            self.topology.mtu_between(name, gateway.owner),
        )  # fmt: skip
        pools = plan.subnets(transit.prefixes)
        first = next(pools)
        own_addresses = hosts(first, plan.SERVERS)
        self.link((router, "servers", hosts(first, plan.ROUTER)), (servers, "eth0", own_addresses))
        servers.routes += _default(first, "eth0")
        if name in self.topology.homes:
            beside = zip(plan.guests(first), first, strict=True)
            servers.routes += [Route(pool, whole.network_address + plan.ROUTER, "eth0") for pool, whole in beside]
        self._host(servers, transit.serves, plan.fresh(first, plan.FIRST_SERVED), domestic=False)
        for hosted in self.network.hosted:
            if hosted.node == servers.name:
                own = [a for a in hosted.addresses if not any(a in subnet for subnet in first)]
                via = {address.version: address.ip for address in own_addresses}
                router.routes += [Route(ipaddress.ip_network(a), via[a.version], "servers") for a in own]

    def _home(self, name: str) -> None:
        """Adds the resolver of a transit's own customers, which those roaming in the country use."""
        transit, router = self.topology.transits[name], self.network.one(Role.TRANSIT, name)
        host = self.node(Role.RESOLVER, (name,), name, f"{transit.title} {Role.RESOLVER}")
        ours, theirs = plan.home_resolver(plan.guests(next(plan.subnets(transit.prefixes))))
        self.link((router, Role.RESOLVER.value, theirs), (host, "eth0", ours))
        host.routes += [Route(everywhere(a.version), a.ip, "eth0") for a in theirs]

    def _backbone(self) -> None:
        """Joins each pair of transits by a link abroad."""
        routers = list(self.network.by_role(Role.TRANSIT))
        for (a, b), subnet in zip(itertools.combinations(routers, 2), self.abroad, strict=False):
            ends = (a, f"to{b.name}", hosts(subnet, 1)), (b, f"to{a.name}", hosts(subnet, 2))
            self.link(*ends, mtu=self.topology.mtu_between(a.owner, b.owner))

    def _operator(self, name: str, index: int, exchange: Node) -> None:
        operator = self.topology.operators[name]
        border = self.node(Role.BORDER, (name,), name, f"{operator.title} border router")
        dpi = self.node(Role.DPI_SWITCH, (name,), name, f"{operator.title} DPI switch")
        box = self.node(Role.DPI_BOX, (name,), name, f"{operator.title} DPI box")
        if name in self.topology.by_satellite:
            ground, subnet = self.network.one(Role.TRANSIT, operator.transit[0]), next(self.abroad)
            above = self.topology.mtu_between(name, ground.owner)
            self.link((border, "intl", hosts(subnet, 1)), (dpi, "border-intl", []), mtu=above)
            self.link((dpi, "gateway", []), (ground, f"to {name}", hosts(subnet, 2)), mtu=above)
        else:
            gateway = self.network.gateway_of(name)
            at_gateway = border, "intl", hosts(self.lans[gateway.owner], plan.FIRST_BORDER + index)
            self.link(at_gateway, (dpi, "border-intl", []), mtu=self.topology.mtu_between(name, gateway.owner))
            self.link((dpi, "gateway", []), (gateway, name, []))
        if operator.exchange:
            at_exchange = border, "ix", hosts(plan.EXCHANGE_LAN, plan.FIRST_BORDER + index)
            self.link(at_exchange, (dpi, "border-ix", []), mtu=self.topology.mtu_between(name, EXCHANGE))
            self.link((dpi, "exchange", []), (exchange, name, []))
        self.link((box, "inside", []), (dpi, "box-inside", []))
        self.link((box, "outside", []), (dpi, "box-outside", []))
        infrastructure = next(plan.subnets(operator.prefixes))
        self._point_to_point(name, Role.RESOLVER, plan.RESOLVER)
        self._point_to_point(name, Role.TELEPHONE, plan.TELEPHONE)
        for region, groups in operator.regions.items():
            access = self.node(Role.ACCESS_SWITCH, (name, region), name, f"{operator.title} {region}")
            vantages = self.vantages.get((name, region), [])
            subnets = {vantage.id: vantage.subnets for vantage in vantages}
            self.network.subnets |= subnets
            gateways = [address for subnet in subnets.values() for address in hosts(subnet, plan.ROUTER)]
            uplink = f"acc{len(border.ports)}"
            self.link((border, uplink, gateways), (access, "uplink", []))
            for vantage in vantages:
                subnet = subnets[vantage.id]
                title = f"{operator.title}, {self.topology.regions[region].title}, {vantage.id.group}"
                host = self.node(Role.SUBSCRIBER, vantage.id, name, title, vantage)
                kind = self.topology.links.get(vantage.access.value, PLAIN)
                line = host, "eth0", hosts(subnet, plan.SUBSCRIBER)
                self.link(line, (access, str(vantage.id), []), kind, infrastructure, plan.FIRST_HOP, subnet)
                mtu = kind.mtu if kind.mtu < PLAIN.mtu else None
                if not vantage.home:  # otherwise all traffic goes into the tunnel
                    host.routes += _default(subnet, "eth0", mtu, but_ipv4=vantage.nat64 is not None)
                if mtu is not None:
                    host.routes += [Route(block, None, "eth0", mtu) for block in subnet]
                    border.routes += [Route(block, None, uplink, mtu) for block in subnet]
                if vantage.nat64 is not None:
                    translated, own = _by_ipv6_alone(subnet, vantage.nat64)
                    border.routes.append(Route(translated, own, uplink, mtu))
                self._host(host, groups[vantage.id.group].serves, plan.fresh(subnet, plan.FIRST_HOSTED), domestic=True)
                self._host_again(host, groups[vantage.id.group].anycast)

    def _point_to_point(self, name: str, role: Role, place: Mapping[int, int]) -> None:
        """Adds a host to an operator's infrastructure, beside its border router."""
        operator, border = self.topology.operators[name], self.network.one(Role.BORDER, name)
        host = self.node(role, (name,), name, f"{operator.title} {role}")
        ours, theirs = plan.point_to_point(next(plan.subnets(operator.prefixes)), place)
        self.link((border, role.value, theirs), (host, "eth0", ours))
        host.routes += [Route(everywhere(a.version), a.ip, "eth0") for a in theirs]

    def _host(
        self, node: Node, serves: tuple[str | ServerProgram, ...], fresh: Iterator[list[Address]], *, domestic: bool
    ) -> None:
        """Assigns addresses to every app endpoint and program that `node` serves."""
        for app in serves:
            if isinstance(app, ServerProgram):
                addresses = tuple(next(fresh))
                hosted = Hosted(app.name, node.name, app.names, addresses, (), domestic, program=app)
                self.network.hosted.append(hosted)
                continue
            prefixes = self.apps[app].prefixes
            for endpoint in self.apps[app].endpoints:
                given = tuple(p.network_address for p in endpoint.addresses)
                blocks = tuple(p for p in prefixes if any(a in p for a in given))
                named = [(endpoint.names, given)]
                if not given:
                    named = [((name,), tuple(next(fresh))) for name in endpoint.names]
                self.network.hosted += [
                    Hosted(app, node.name, names, addresses, endpoint.ports, domestic, blocks)
                    for names, addresses in named
                ]

    def _host_again(self, node: Node, apps: tuple[str, ...]) -> None:
        """Makes `node` another host of what apps have abroad at addresses of their own."""
        for app in apps:
            own = {prefix.network_address for endpoint in self.apps[app].endpoints for prefix in endpoint.addresses}
            abroad = (each for each in self.network.hosted if each.app == app and own.issuperset(each.addresses))
            self.network.instances += [replace(hosted, node=node.name, domestic=True) for hosted in abroad]


def lay_out(topology: Topology, apps: Mapping[str, App]) -> Network:
    """Lays out the whole network of a checked topology; pure and deterministic."""
    with nothing_is_garbage():
        return _Builder(topology, apps).build()


def mac_of(number: int) -> str:
    """Returns a locally administered MAC address (IEEE 802, bit 0x02) from a number that is unique to an interface."""
    return (0x02 << 40 | number).to_bytes(6, "big").hex(":")


def _default(subnet: Pair, port: str, mtu: int | None = None, *, but_ipv4: bool = False) -> list[Route]:
    """Returns default routes to the subnet's router. `but_ipv4`: for IPv6 only, if the link carries no IPv4."""
    return [
        Route(everywhere(block.version), block.network_address + plan.ROUTER, port, mtu)
        for block in subnet
        if block.version == 6 or not but_ipv4
    ]


def _by_ipv6_alone(subnet: Pair, standing: ipaddress.IPv6Network) -> tuple[IpPrefix, Address]:
    """Returns the IPv6 prefix of a subscriber group's IPv4 addresses on its line, and the IPv6 address that is their
    next hop."""
    v4, v6 = sorted(subnet, key=lambda block: block.version)
    return plan.as_ipv6(standing, v4), v6.network_address + plan.SUBSCRIBER


__all__ = ["Hosted", "Link", "Network", "Node", "Port", "Role", "Route", "lay_out", "mac_of"]
