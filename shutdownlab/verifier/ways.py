"""The path of a packet through the country, from a host to an address, switch by switch. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from itertools import pairwise

from shutdownlab.config.addresses import Address
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network, Node, Port, Role
from shutdownlab.model.routing import ground_port, router_of, served_routes
from shutdownlab.verifier.contest import NextHop
from shutdownlab.verifier.routes import Routes
from shutdownlab.verifier.switch import Fields


@dataclass(frozen=True, slots=True)
class Crossing:
    """A packet at a switch.

    port: the port that it arrives at.
    onwards: the port that it should leave by.
    source, target: its link addresses there.
    """

    switch: str
    port: int
    onwards: int
    source: str
    target: str
    tunnelled: bool = False
    """Whether it is inside a roaming client's tunnel there."""

    @property
    def fields(self) -> Fields:
        """The OXM fields to add to the packet's own."""
        return {"in_port": self.port, "eth_src": self.source, "eth_dst": self.target}

    @property
    def ports(self) -> tuple[int, int]:
        """The port that it arrives at, and the one that it should leave by."""
        return self.port, self.onwards


@dataclass(frozen=True, slots=True)
class LineRouters:
    """`count` routers on a link of a class (`links:` and its `hops:`)."""

    link: str
    count: int


@dataclass(frozen=True, slots=True)
class Translator(LineRouters):
    """A translator between IPv4 and IPv6. `link`: its node.

    It counts as two routers: itself, and the node's kernel, which forwards packets to it and on.
    """

    count: int = 2


@dataclass(frozen=True)
class Way:
    """The path of a packet to an address, or as far as it gets.

    hops: in order, hosts and routers by name, and the switches and routers of links between them.
    arrives: whether it reaches a host with the address.
    silent: whether no router reports it if it does not arrive.
    number: a number of this path that no other has.
    """

    hops: tuple[str | Crossing | LineRouters, ...]
    arrives: bool = True
    silent: bool = False
    number: int = 0
    hidden: range = range(0)
    """The indices of hops that a packet passes inside a tunnel: they do not decrement its TTL."""

    @cached_property
    def crossings(self) -> tuple[Crossing, ...]:
        """The switches."""
        return tuple(hop for hop in self.hops if isinstance(hop, Crossing))

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The hosts and routers."""
        return tuple(hop for hop in self.hops if isinstance(hop, str))

    @cached_property
    def passed(self) -> tuple[int, ...]:
        """The number of routers before each switch, and last before the end: each decrements the TTL."""
        found, passed = [], 0
        for place, hop in enumerate(self.hops):
            if isinstance(hop, Crossing):
                found.append(passed)
            elif place in self.hidden:
                continue
            elif isinstance(hop, LineRouters):
                passed += hop.count
            else:
                passed += 0 < place < len(self.hops) - 1
        return (*found, passed)


class Ways:
    """Finds paths through a network with some `damage`, and caches them."""

    def __init__(self, network: Network, damage: Damage = NO_DAMAGE, first: int = 0) -> None:
        """`first`: the number of the first path that is found."""
        self.network, self.damage, self._first = network, damage, first
        self.routes = Routes(network, damage)
        operators = network.topology.operators
        self._without_ipv6 = {name for name, operator in operators.items() if 6 not in operator.versions}
        self._found: dict[tuple[str, str], Way] = {}
        self._hosts: dict[Address, Node] = {}
        self._by_text: dict[str, Node | None] = {}
        self._reached: dict[tuple[str, str], Node | None] = {}
        for node in network.nodes.values():
            if node.role in {Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE, Role.SERVERS}:
                own = (a.ip for port in node.ports.values() for a in port.addresses)
                self._hosts |= dict.fromkeys(own, node)
        for vantage in network.vantages:
            node = network.subscriber(vantage.id)
            # Roaming clients have addresses in their home's network.
            self._hosts |= dict.fromkeys((a for bearer in vantage.bearers for a in bearer.inner), node)
            if not vantage.home:  # what outsiders probe there, and their own device
                probed = [network.probed_address(vantage.id, subnet.version) for subnet in vantage.subnets]
                self._hosts |= dict.fromkeys([*probed, network.atlas_address(vantage)], node)
        for hosted in network.hosted:
            self._hosts |= dict.fromkeys(hosted.addresses, network.nodes[hosted.node])
        self._instances: dict[Address, dict[str, Node]] = {}
        """The further hosts of each anycast address, by the owner of their network."""
        for hosted in network.instances:
            node = network.nodes[hosted.node]
            for address in hosted.addresses:
                self._instances.setdefault(address, {})[node.owner] = node

    def host_of(self, address: str) -> Node | None:
        """Returns the host that has an address (of an anycast address, the one abroad), or None."""
        if address not in self._by_text:
            self._by_text[address] = self._hosts.get(ip_address(address))
        return self._by_text[address]

    def reached(self, host: str, address: str) -> Node | None:
        """Returns the host that packets from another one, by its node's name, to an address are for, or None.

        Of an anycast address, it is the host that routes lead to, ignoring broken links on the path, else the one
        abroad.
        """
        if not self._instances or ip_address(address) not in self._instances:
            return self.host_of(address)
        key = host, address
        if key not in self._reached:
            way = self._find(self.network.nodes[host], ip_address(address))
            self._reached[key] = self.network.nodes[way.nodes[-1]] if way.arrives else self.host_of(address)
        return self._reached[key]

    def between(self, host: str, address: str) -> Way:
        """Returns the path from a host or router, by its node's name, to an address."""
        key = host, address
        if key not in self._found:
            found = self._find(self.network.nodes[host], ip_address(address))
            self._found[key] = replace(self._as_far_as_whole(found), number=self._first + len(self._found))
        return self._found[key]

    def own_address(self, router: str, to: str) -> str:
        """Returns the source address of packets that a router itself sends to an address that it has a route to.

        It is that of the outgoing port, as the kernel chooses it (RFC 1812, 4.3.2.4).
        """
        node, address = self.network.nodes[router], ip_address(to)
        own = [each for port in node.ports.values() for each in port.addresses if each.version == address.version]
        beside = next((each for each in own if address in each.network), None)
        if beside is not None:
            return str(beside.ip)
        there = self._hosts.get(address)
        if there is not None and there.vantage is not None and there.vantage.home == node.owner:  # through a tunnel
            return str(own[0].ip)
        owner = self.routes.owner_of(address)
        assert owner is not None, "nobody has a route to what nobody announces"
        if owner == node.owner:  # an address outside its subnets that one of its own hosts serves
            served = next(route.port for route in served_routes(self.network, node) if address in route.prefix)
            return next(str(each.ip) for each in node.ports[served].addresses if each.version == address.version)
        hop = self.routes.next_hop(node.owner, owner, self.routes.standing(owner, address), address.version)
        following = router_of(self.network, hop.owner)
        if hop.lan == "space":
            port = ground_port(self.network, node, following)
        else:
            port = node.port_for(f"to{following.name}") if hop.lan == "backbone" else self._lan_port(node, hop.lan)
        return next(str(each.ip) for each in port.addresses if each.version == address.version)

    def _as_far_as_whole(self, way: Way) -> Way:
        """Returns the path up to the first broken link or node on it."""
        if not self.damage:
            return way
        named = [(place, hop) for place, hop in enumerate(way.hops, 1) if not isinstance(hop, LineRouters)]
        found = [(place, self.network.nodes[hop if isinstance(hop, str) else hop.switch]) for place, hop in named]
        for (place, one), (_, following) in pairwise(found):
            if self.damage.breaks(one, following):
                return replace(way, hops=way.hops[:place], arrives=False, silent=True)
        return way

    def _find(self, host: Node, address: Address) -> Way:
        target = self._hosts.get(address)
        if host.vantage is not None and host.vantage.home and target is not host and not address.is_loopback:
            own, router = host.vantage.bearers[0], router_of(self.network, host.vantage.home)
            return self._from_guest(self._find_plainly(host, own.end, router), self._find(router, address))
        if target is not None and target.vantage is not None and target is not host and target.vantage.home:
            bearers, router = target.vantage.bearers, router_of(self.network, target.vantage.home)
            bearer = next((each for each in bearers if address in each.inner), None)
            if bearer is not None:
                out = self._find_plainly(router, bearer.outer, target)
                return self._to_guest(self._find_plainly(host, address, router), out)
        return self._find_plainly(host, address, target)

    @staticmethod
    def _from_guest(tunnel: Way, beyond: Way) -> Way:
        """Joins a roaming client's path through its tunnel with the path from its home on."""
        inside, hidden = _tunnelled(tunnel.hops), range(1, len(tunnel.hops) - tunnel.arrives)
        if not tunnel.arrives:  # ICMP errors are about the tunnel, and do not reach the client
            return Way(inside, arrives=False, silent=True, hidden=hidden)
        if beyond.hidden:  # the other end roams, too: the hops between the two tunnels count as inside
            hidden = range(1, len(tunnel.hops) - 1 + beyond.hidden.stop)
        return Way((*inside, *beyond.hops[1:]), beyond.arrives, beyond.silent, hidden=hidden)

    @staticmethod
    def _to_guest(there: Way, tunnel: Way) -> Way:
        """Joins the path to a roaming client's home with the path through its tunnel from there."""
        if not there.arrives:
            return there
        first = len(there.hops)
        hops = (*there.hops, *_tunnelled(tunnel.hops)[1:])
        return Way(hops, tunnel.arrives, not tunnel.arrives, hidden=range(first, len(hops) - tunnel.arrives))

    def _find_plainly(self, host: Node, address: Address, target: Node | None) -> Way:
        """Finds the path of packets as they are on the wire. target: the host or router that has the address."""
        if address.version == 6 and host.owner in self._without_ipv6:
            return Way((host.name,), arrives=False)
        instances = self._instances.get(address, {})
        if target is host or host in instances.values() or address.is_loopback:
            return Way((host.name,), arrives=not address.is_loopback)
        router = router_of(self.network, host.owner)
        hops: list[str | Crossing | LineRouters] = [host.name]
        if host is not router:
            hops += [*self._last_mile(host, router, address.version, up=True), router.name]
        owner = target.owner if target is not None else self.routes.owner_of(address)
        if owner is None:
            return Way(tuple(hops), arrives=False)
        standing = self.routes.standing(owner, address)
        passed = set[str]()
        while router.owner not in instances and (
            (there := self._diverted(router, target, address)) or router.owner != owner
        ):
            try:
                hop = there or self.routes.next_hop(router.owner, owner, standing, address.version)
            except KeyError:
                return Way(tuple(hops), arrives=False)
            if hop.owner in passed or hop.owner == router.owner:  # a loop, or the router discards it
                return Way(tuple(hops), arrives=False, silent=True)
            passed.add(router.owner)
            following = router_of(self.network, hop.owner)
            hops += [*(self._over_lan(router, following, hop.lan) if hop.lan != "backbone" else ()), following.name]
            router = following
            if hop.lan == "gateway" and self.damage.discards(router.owner, address):
                return Way(tuple(hops), arrives=False, silent=True)
        target = instances.get(router.owner, target)
        if target is None:  # its prefix is announced, but no host has the address: discarded
            return Way(tuple(hops), arrives=False, silent=True)
        if target is router:
            return Way(tuple(hops))
        hops += [*self._last_mile(target, router, address.version, up=False), target.name]
        if target.owner == host.owner and _is_ipv6_alone(host) and _is_ipv6_alone(target):
            hops = [hop for hop in hops if hop != Translator(router.name)]  # IPv6 all the way between the two lines
        return Way(tuple(hops))

    def _diverted(self, router: Node, target: Node | None, address: Address) -> NextHop | None:
        """Returns a router's next hop for an address if a contested or leaked prefix changes it, else None."""
        if not self.routes.is_contested:
            return None
        known = 0
        if target is not None and target.owner == router.owner:
            linked = [a.network for port in target.ports.values() for a in port.addresses if address in a.network]
            known = max((network.prefixlen for network in linked), default=address.max_prefixlen)
        return self.routes.diverted(router.owner, address, known)

    def _last_mile(self, host: Node, router: Node, version: int, *, up: bool) -> list[Crossing | LineRouters]:
        """Returns the hops between a host and its router in an IP version; [] unless the host is a subscriber.

        up: from the host to the router.
        """
        if host.role is not Role.SUBSCRIBER:
            return []
        line = host.ports["eth0"]
        switch = self.network.nodes[line.peer.node]
        uplink = switch.port_for("uplink")
        routers_port = router.ports[uplink.peer.port]
        inner = switch.ports[line.peer.port].number
        on_line = self._on_link(host.vantage.access.value) if host.vantage is not None else []
        ends: list[list[Translator]] = [[], []]
        if version == 4 and _is_ipv6_alone(host):
            ends = [[Translator(node.name)] for node in (host, router)]
        if up:
            return [
                *ends[0],
                *on_line,
                Crossing(switch.name, inner, uplink.number, line.mac, routers_port.mac),
                *ends[1],
            ]
        return [*ends[1], Crossing(switch.name, uplink.number, inner, routers_port.mac, line.mac), *on_line, *ends[0]]

    def _on_link(self, kind: str) -> list[LineRouters]:
        """Returns the routers on a link of a class, or []."""
        count = next((link.hops for name, link in self.network.topology.links.items() if name == kind), 0)
        return [LineRouters(kind, count)] if count else []

    def _over_lan(self, router: Node, following: Node, lan: str) -> list[Crossing | LineRouters]:
        """Returns the hops between two routers over a LAN, with the DPI switch of each operator."""
        if lan == "space":
            near, far = (ground_port(self.network, *ends) for ends in ((router, following), (following, router)))
            above = router if router.role is Role.BORDER else following
            return [self._past_box(above, "gateway", near, far, outwards=above is router)]
        near, far = self._lan_port(router, lan), self._lan_port(following, lan)
        found: list[Crossing | LineRouters] = []
        if router.role is Role.TRANSIT:
            found += self._on_link("transit")
        if router.role is Role.BORDER:
            found.append(self._past_box(router, lan, near, far, outwards=True))
        if lan == "gateway":
            switch = self.network.gateway_of(router.owner)
            ports = [switch.port_for(node.owner).number for node in (router, following)]
            found.append(Crossing(switch.name, ports[0], ports[1], near.mac, far.mac))
        if following.role is Role.TRANSIT:
            found += self._on_link("transit")
        if following.role is Role.BORDER:
            found.append(self._past_box(following, lan, near, far, outwards=False))
        return found

    def _past_box(self, router: Node, lan: str, near: Port, far: Port, *, outwards: bool) -> Crossing:
        switch = self.network.one(Role.DPI_SWITCH, router.owner)
        inner = switch.port_for("border-intl" if lan == "gateway" else "border-ix").number
        outer = switch.port_for(lan).number
        first, second = (inner, outer) if outwards else (outer, inner)
        return Crossing(switch.name, first, second, near.mac, far.mac)

    @staticmethod
    def _lan_port(router: Node, lan: str) -> Port:
        if router.role is Role.TRANSIT:
            return router.port_for("gateway")
        return router.port_for("intl" if lan == "gateway" else "ix")


def _tunnelled(hops: tuple[str | Crossing | LineRouters, ...]) -> tuple[str | Crossing | LineRouters, ...]:
    """Returns the same hops for packets inside a tunnel."""
    return tuple(replace(hop, tunnelled=True) if isinstance(hop, Crossing) else hop for hop in hops)


def _is_ipv6_alone(node: Node) -> bool:
    """Whether it is a subscriber's node with an IPv6-only line."""
    return node.vantage is not None and node.vantage.nat64 is not None
