"""The way of a packet through the country: from a host to an address, switch by switch. Pure."""

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
    """A packet at a switch: where it comes in, where it should leave, and its link addresses there."""

    switch: str
    port: int
    onwards: int
    source: str
    target: str
    tunnelled: bool = False
    """Whether it is inside a tunnel there, home from where it roams, or back."""

    @property
    def fields(self) -> Fields:
        """What is added to the packet's own fields."""
        return {"in_port": self.port, "eth_src": self.source, "eth_dst": self.target}

    @property
    def ports(self) -> tuple[int, int]:
        """Where it comes in, and where it should leave."""
        return self.port, self.onwards


@dataclass(frozen=True, slots=True)
class LineRouters:
    """The routers on a link of a class (`links:` and its `hops:`), so many."""

    link: str
    count: int


@dataclass(frozen=True, slots=True)
class Translator(LineRouters):
    """A translator between IPv4 and IPv6, which is two routers: the node's kernel, that sends packets to it and on, and
    itself. `link` is the node that has it."""

    count: int = 2


@dataclass(frozen=True)
class Way:
    """How a packet gets to an address, or how far it would.

    hops: hosts and routers by their names, the switches and the routers of links between them, in order. arrives: some
    host has the address. silent: where it does not arrive, nobody says so. number: of all ways that were found.
    """

    hops: tuple[str | Crossing | LineRouters, ...]
    arrives: bool = True
    silent: bool = False
    number: int = 0
    hidden: range = range(0)
    """The places of hops that a packet passes inside a tunnel: they take nothing off its TTL."""

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
        """How many routers are before each switch on the way, and at last before its end: each takes one off TTLs."""
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
    """Finds ways through a network, with whatever `damage` it has; what was found is kept."""

    def __init__(self, network: Network, damage: Damage = NO_DAMAGE, first: int = 0) -> None:
        """`first`: the number of the first way that is found."""
        self.network, self.damage, self._first = network, damage, first
        self.routes = Routes(network, damage)
        self._found: dict[tuple[str, str], Way] = {}
        self._hosts: dict[Address, Node] = {}
        self._by_text: dict[str, Node | None] = {}
        self._reached: dict[tuple[str, str], Node | None] = {}
        for node in network.nodes.values():
            if node.role in {Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE, Role.SERVERS}:
                own = (a.ip for port in node.ports.values() for a in port.addresses)
                self._hosts |= dict.fromkeys(own, node)
        for vantage in network.vantages:  # at home, those who roam have addresses of another's network
            own = (a for bearer in vantage.bearers for a in bearer.inner)
            self._hosts |= dict.fromkeys(own, network.subscriber(vantage.id))
        for hosted in network.hosted:
            self._hosts |= dict.fromkeys(hosted.addresses, network.nodes[hosted.node])
        self._instances: dict[Address, dict[str, Node]] = {}
        """Who else has an anycast address, by whose network that is in."""
        for hosted in network.instances:
            node = network.nodes[hosted.node]
            for address in hosted.addresses:
                self._instances.setdefault(address, {})[node.owner] = node

    def host_of(self, address: str) -> Node | None:
        """Which host has an address."""
        if address not in self._by_text:
            self._by_text[address] = self._hosts.get(ip_address(address))
        return self._by_text[address]

    def reached(self, host: str, address: str) -> Node | None:
        """The host that packets from another one, by its node's name, are for at an address: of those that have an
        anycast one, that to which routes lead, whatever is broken on the way; where they lead to none, the one abroad.
        """
        if not self._instances or ip_address(address) not in self._instances:
            return self.host_of(address)
        key = host, address
        if key not in self._reached:
            way = self._find(self.network.nodes[host], ip_address(address))
            self._reached[key] = self.network.nodes[way.nodes[-1]] if way.arrives else self.host_of(address)
        return self._reached[key]

    def between(self, host: str, address: str) -> Way:
        """From a host or a router, by its node's name, to an address."""
        key = host, address
        if key not in self._found:
            found = self._find(self.network.nodes[host], ip_address(address))
            self._found[key] = replace(self._as_far_as_whole(found), number=self._first + len(self._found))
        return self._found[key]

    def own_address(self, router: str, to: str) -> str:
        """What a router has for its own address in what it sends of itself to an address that it has a route to: that
        of the port by which it leaves, as the kernel chooses (RFC 1812, 4.3.2.4)."""
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
        if owner == node.owner:  # what a host of its own serves beside its subnet
            served = next(route.port for route in served_routes(self.network, node) if address in route.prefix)
            return next(str(each.ip) for each in node.ports[served].addresses if each.version == address.version)
        hop = self.routes.next_hop(node.owner, owner, self.routes.standing(owner, address))
        following = router_of(self.network, hop.owner)
        if hop.lan == "space":
            port = ground_port(self.network, node, following)
        else:
            port = node.port_for(f"to{following.name}") if hop.lan == "backbone" else self._lan_port(node, hop.lan)
        return next(str(each.ip) for each in port.addresses if each.version == address.version)

    def _as_far_as_whole(self, way: Way) -> Way:
        """The way up to the first thing on it that is broken."""
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
        """Of one who roams, through the tunnel and on from its home."""
        inside, hidden = _tunnelled(tunnel.hops), range(1, len(tunnel.hops) - tunnel.arrives)
        if not tunnel.arrives:  # whoever is told so, it is not he
            return Way(inside, arrives=False, silent=True, hidden=hidden)
        if beyond.hidden:  # to another one who roams: what is between the tunnels is passed as if inside
            hidden = range(1, len(tunnel.hops) - 1 + beyond.hidden.stop)
        return Way((*inside, *beyond.hops[1:]), beyond.arrives, beyond.silent, hidden=hidden)

    @staticmethod
    def _to_guest(there: Way, tunnel: Way) -> Way:
        """To the home of one who roams, and from there through the tunnel."""
        if not there.arrives:
            return there
        first = len(there.hops)
        hops = (*there.hops, *_tunnelled(tunnel.hops)[1:])
        return Way(hops, tunnel.arrives, not tunnel.arrives, hidden=range(first, len(hops) - tunnel.arrives))

    def _find_plainly(self, host: Node, address: Address, target: Node | None) -> Way:
        """The way of packets as they are on the wire. target: the host or router that has the address."""
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
                hop = there or self.routes.next_hop(router.owner, owner, standing)
            except KeyError:
                return Way(tuple(hops), arrives=False)
            if hop.owner in passed or hop.owner == router.owner:  # in a circle, or where it is discarded
                return Way(tuple(hops), arrives=False, silent=True)
            passed.add(router.owner)
            following = router_of(self.network, hop.owner)
            hops += [*(self._over_lan(router, following, hop.lan) if hop.lan != "backbone" else ()), following.name]
            router = following
            if hop.lan == "gateway" and self.damage.discards(router.owner, address):
                return Way(tuple(hops), arrives=False, silent=True)
        target = instances.get(router.owner, target)
        if target is None:  # its prefix is announced, and discarded where it is
            return Way(tuple(hops), arrives=False, silent=True)
        if target is router:
            return Way(tuple(hops))
        hops += [*self._last_mile(target, router, address.version, up=False), target.name]
        if target.owner == host.owner and _is_ipv6_alone(host) and _is_ipv6_alone(target):
            hops = [hop for hop in hops if hop != Translator(router.name)]  # one IPv6 line's packets are the other's
        return Way(tuple(hops))

    def _diverted(self, router: Node, target: Node | None, address: Address) -> NextHop | None:
        """Where a router sends what is for an address, against what it does on a quiet day."""
        if not self.routes.is_contested:
            return None
        known = 0
        if target is not None and target.owner == router.owner:
            linked = [a.network for port in target.ports.values() for a in port.addresses if address in a.network]
            known = max((network.prefixlen for network in linked), default=address.max_prefixlen)
        return self.routes.diverted(router.owner, address, known)

    def _last_mile(self, host: Node, router: Node, version: int, *, up: bool) -> list[Crossing | LineRouters]:
        """Between a host and its router, in an IP version: over an access switch, where the host is a subscriber."""
        if host.role is not Role.SUBSCRIBER:
            return []
        line = host.ports["eth0"]
        switch = self.network.nodes[line.peer.node]
        uplink = switch.port_for("uplink")
        theirs = router.ports[uplink.peer.port]
        inner = switch.ports[line.peer.port].number
        on_line = self._on_link(host.vantage.access.value) if host.vantage is not None else []
        ends: list[list[Translator]] = [[], []]
        if version == 4 and _is_ipv6_alone(host):
            ends = [[Translator(node.name)] for node in (host, router)]
        if up:
            return [*ends[0], *on_line, Crossing(switch.name, inner, uplink.number, line.mac, theirs.mac), *ends[1]]
        return [*ends[1], Crossing(switch.name, uplink.number, inner, theirs.mac, line.mac), *on_line, *ends[0]]

    def _on_link(self, kind: str) -> list[LineRouters]:
        """The routers of a link of a class, if it has any."""
        count = next((link.hops for name, link in self.network.topology.links.items() if name == kind), 0)
        return [LineRouters(kind, count)] if count else []

    def _over_lan(self, router: Node, following: Node, lan: str) -> list[Crossing | LineRouters]:
        """From router to router over the gateway's or the exchange's switch, past the DPI switch of each operator."""
        if lan == "space":
            mine, theirs = (ground_port(self.network, *ends) for ends in ((router, following), (following, router)))
            above = router if router.role is Role.BORDER else following
            return [self._past_box(above, "gateway", mine, theirs, outwards=above is router)]
        mine, theirs = self._lan_port(router, lan), self._lan_port(following, lan)
        found: list[Crossing | LineRouters] = []
        if router.role is Role.TRANSIT:
            found += self._on_link("transit")
        if router.role is Role.BORDER:
            found.append(self._past_box(router, lan, mine, theirs, outwards=True))
        if lan == "gateway":
            switch = self.network.gateway_of(router.owner)
            ports = [switch.port_for(node.owner).number for node in (router, following)]
            found.append(Crossing(switch.name, ports[0], ports[1], mine.mac, theirs.mac))
        if following.role is Role.TRANSIT:
            found += self._on_link("transit")
        if following.role is Role.BORDER:
            found.append(self._past_box(following, lan, mine, theirs, outwards=False))
        return found

    def _past_box(self, router: Node, lan: str, mine: Port, theirs: Port, *, outwards: bool) -> Crossing:
        switch = self.network.one(Role.DPI_SWITCH, router.owner)
        inner = switch.port_for("border-intl" if lan == "gateway" else "border-ix").number
        outer = switch.port_for(lan).number
        first, second = (inner, outer) if outwards else (outer, inner)
        return Crossing(switch.name, first, second, mine.mac, theirs.mac)

    @staticmethod
    def _lan_port(router: Node, lan: str) -> Port:
        if router.role is Role.TRANSIT:
            return router.port_for("gateway")
        return router.port_for("intl" if lan == "gateway" else "ix")


def _tunnelled(hops: tuple[str | Crossing | LineRouters, ...]) -> tuple[str | Crossing | LineRouters, ...]:
    """The same hops, of packets inside a tunnel."""
    return tuple(replace(hop, tunnelled=True) if isinstance(hop, Crossing) else hop for hop in hops)


def _is_ipv6_alone(node: Node) -> bool:
    """Whether it is a subscriber's whose line carries IPv6 alone."""
    return node.vantage is not None and node.vantage.nat64 is not None
