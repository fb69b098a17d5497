"""Lays out a topology as a network: all nodes and links, with addresses from the address plan. Pure."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from shutdownlab.config.addresses import Address, Interface, IpPrefix
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.inspection.apps import App
from shutdownlab.model import address_plan as plan
from shutdownlab.model.address_plan import Pair, everywhere, hosts
from shutdownlab.model.cables import EXCHANGE, GATEWAY
from shutdownlab.model.links import LinkClass
from shutdownlab.model.naming import names_of
from shutdownlab.model.network import PLAIN, End, Hosted, Link, Network, Node, Port, Role, Route
from shutdownlab.model.topology import ServerProgram, Topology, Vantage


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
        host_address, router_address = plan.home_resolver(plan.guests(next(plan.subnets(transit.prefixes))))
        self.link((router, Role.RESOLVER.value, router_address), (host, "eth0", host_address))
        host.routes += [Route(everywhere(a.version), a.ip, "eth0") for a in router_address]

    def _backbone(self) -> None:
        """Joins each pair of transits by a link abroad."""
        routers = list(self.network.by_role(Role.TRANSIT))
        for (a, b), subnet in zip(itertools.combinations(routers, 2), self.abroad, strict=False):
            ends = (a, f"to{b.name}", hosts(subnet, 1)), (b, f"to{a.name}", hosts(subnet, 2))
            self.link(*ends, mtu=self.topology.mtu_between(a.owner, b.owner))

    def _operator(self, name: str, index: int, exchange: Node) -> None:
        operator = self.topology.operators[name]
        own = operator.versions
        border = self.node(Role.BORDER, (name,), name, f"{operator.title} border router")
        dpi = self.node(Role.DPI_SWITCH, (name,), name, f"{operator.title} DPI switch")
        box = self.node(Role.DPI_BOX, (name,), name, f"{operator.title} DPI box")
        if name in self.topology.by_satellite:
            ground, subnet = self.network.one(Role.TRANSIT, operator.transit[0]), next(self.abroad)
            above = self.topology.mtu_between(name, ground.owner)
            self.link((border, "intl", hosts(subnet, 1, own)), (dpi, "border-intl", []), mtu=above)
            self.link((dpi, "gateway", []), (ground, f"to {name}", hosts(subnet, 2, own)), mtu=above)
        else:
            gateway = self.network.gateway_of(name)
            at_gateway = border, "intl", hosts(self.lans[gateway.owner], plan.FIRST_BORDER + index, own)
            self.link(at_gateway, (dpi, "border-intl", []), mtu=self.topology.mtu_between(name, gateway.owner))
            self.link((dpi, "gateway", []), (gateway, name, []))
        if operator.exchange:
            at_exchange = border, "ix", hosts(plan.EXCHANGE_LAN, plan.FIRST_BORDER + index, own)
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
                    translated, line_end = _by_ipv6_alone(subnet, vantage.nat64)
                    border.routes.append(Route(translated, line_end, uplink, mtu))
                self._host(host, groups[vantage.id.group].serves, plan.fresh(subnet, plan.FIRST_HOSTED), domestic=True)
                self._host_again(host, groups[vantage.id.group].anycast)

    def _point_to_point(self, name: str, role: Role, place: Mapping[int, int]) -> None:
        """Adds a host to an operator's infrastructure, beside its border router."""
        operator, border = self.topology.operators[name], self.network.one(Role.BORDER, name)
        host = self.node(role, (name,), name, f"{operator.title} {role}")
        host_address, router_address = plan.point_to_point(next(plan.subnets(operator.prefixes)), place)
        self.link((border, role.value, router_address), (host, "eth0", host_address))
        host.routes += [Route(everywhere(a.version), a.ip, "eth0") for a in router_address]

    def _host(
        self, node: Node, serves: tuple[str | ServerProgram, ...], fresh: Iterator[list[Address]], *, domestic: bool
    ) -> None:
        """Assigns addresses to every app endpoint and program that `node` serves."""
        versions = node.versions
        for app in serves:
            if isinstance(app, ServerProgram):
                addresses = tuple(next(fresh))
                hosted = Hosted(app.name, node.name, app.names, addresses, (), domestic, program=app)
                self.network.hosted.append(hosted)
                continue
            prefixes = self.apps[app].prefixes
            for endpoint in self.apps[app].endpoints:
                given = tuple(p.network_address for p in endpoint.addresses if p.version in versions)
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
            for hosted in abroad:
                here = tuple(address for address in hosted.addresses if address.version in node.versions)
                if here:
                    instance = replace(hosted, node=node.name, domestic=True, addresses=here)
                    self.network.instances.append(instance)


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
