"""The country's BGP: the sessions, the prefixes each router announces, and the routes it should receive. Pure.

Routes are exported after Gao and Rexford ("Stable Internet routing without global coordination", 2001): customers'
routes go to everyone, those of peers and providers to customers only. The exchange is a peer, and routes over it are
preferred, so that domestic traffic stays at home. Border routers and transits are on their gateway's peering LAN,
except operators by satellite, which have a link to their transit. A route bought from another operator carries that
operator in its AS path, while its next hop stays the router that owns it (RFC 4271, 5.1.3: third-party next hop), so
packets go straight there.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from shutdownlab.config.addresses import Address, IpPrefix, is_part
from shutdownlab.model.announcements import AnnouncementReach, WithdrawalReach
from shutdownlab.model.faults import Announced, Damage, Leaked, Nulled, Withdrawn
from shutdownlab.model.network import PLAIN, Hosted, Network, Node, Port, Role, Route
from shutdownlab.model.policy import Policy
from shutdownlab.model.topology import Operator, Transit

ROUTER_ROLES = (Role.BORDER, Role.TRANSIT, Role.ROUTE_SERVER)

_SYMBOL = str.maketrans({"-": "_", ".": "D", "_": "U"})
"""Maps node names to bird symbols, one to one: node names have no capitals."""

COVER = {4: 24, 6: 48}
"""The longest prefixes that the world's routers accept (MANRS), by IP version; a served address is announced in a
longer one only if two networks share it."""


class Relation(Enum):
    """What a neighbour is to a network: the value is (large community, local preference)."""

    CUSTOMER = (1, 200)
    EXCHANGE = (2, 300)
    PEER = (3, 150)
    PROVIDER = (4, 100)
    CLIENT = (5, 100)
    """A member of the exchange, as its route server sees it."""

    @property
    def gets_all_routes(self) -> bool:
        """Whether it receives every route: customers pay for that; peers, providers and the exchange get our own routes
        and our customers'."""
        return self in {Relation.CUSTOMER, Relation.CLIENT}


@dataclass(frozen=True, slots=True)
class BgpSession:
    """A BGP session of one IP version, seen from one of its ends."""

    name: str
    relation: Relation
    local: Address
    neighbour: Address
    asn: int
    owner: str = ""
    """The neighbour's owner: an operator, a transit or `exchange`."""

    @property
    def version(self) -> int:
        return self.neighbour.version


def routers(network: Network) -> Iterator[Node]:
    """Returns every node that runs bird."""
    return (node for role in ROUTER_ROLES for node in network.by_role(role))


def asn(network: Network, node: Node) -> int:
    """Returns the AS number of a router's owner."""
    if node.role is Role.ROUTE_SERVER:
        return network.topology.exchange.asn
    return _holder(network, node).asn


def sessions(network: Network, node: Node) -> list[BgpSession]:
    """Returns every session of a router, IPv4 and IPv6 separately."""
    found: list[BgpSession] = []
    if node.role is Role.ROUTE_SERVER:
        for member in network.by_role(Role.BORDER):
            if network.topology.operators[member.owner].exchange:
                found += _pair(network, Relation.CLIENT, node, "ix", member, "ix")
        return found
    operators = network.topology.operators
    if node.role is Role.BORDER:
        own = operators[node.owner]
        if own.exchange:
            server = network.one(Role.ROUTE_SERVER, "exchange")
            found += _pair(network, Relation.EXCHANGE, node, "ix", server, "ix")
        for carrier in (router_of(network, name) for name in own.transit):
            ports = _meeting(network, node, carrier)
            found += _pair(network, Relation.PROVIDER, node, ports[0], carrier, ports[1])
    for name, operator in operators.items():
        if node.owner in operator.transit:
            customer = router_of(network, name)
            ports = _meeting(network, node, customer)
            found += _pair(network, Relation.CUSTOMER, node, ports[0], customer, ports[1])
    for port in node.ports.values():
        other = network.nodes[port.peer.node]
        if node.role is Role.TRANSIT and other.role is Role.TRANSIT:
            found += _pair(network, Relation.PEER, node, port.name, other, port.peer.port)
    return found


def narrower(network: Network, node: Node) -> dict[Address, int]:
    """Returns the neighbours of a router on its LANs whose cable has a smaller MTU than its own, with that MTU in
    octets."""
    kinds, found = network.topology.links, dict[Address, int]()
    if not network.topology.cables and kinds.get("transit", PLAIN).mtu == PLAIN.mtu:
        return found
    own = [(port.mtu, each) for port in node.ports.values() for each in port.addresses]
    for other in routers(network):
        for port in other.ports.values() if other is not node else ():
            for address in port.addresses:
                if any(port.mtu < mtu and address.ip in interface.network for mtu, interface in own):
                    found[address.ip] = port.mtu
    return found


def originated(network: Network, node: Node) -> tuple[IpPrefix, ...]:
    """Returns the prefixes that a router announces as its own: see `announcements`."""
    return announcements(network)[node.name]


def announcements(network: Network) -> dict[str, tuple[IpPrefix, ...]]:
    """Returns the prefixes that each router announces as its own: its owner's, and those around each foreign address
    served there.

    A served address is announced in its app's own prefix, else in its /24 or /48; if two networks have addresses in the
    same one, each goes on to the next longer, in the end the address alone. If an address is served in the country as
    well, its operator announces the same prefix: see `anycast`.
    """
    blocks = {block for hosted in network.hosted for block in hosted.blocks}
    served = {
        node.name: [_ways_to_announce(route.prefix, blocks) for route in _served_routes(network, node, network.hosted)]
        for node in routers(network)
    }
    wanted_by = Counter(prefix for ways in served.values() for prefix in {p for each in ways for p in each})
    found: dict[str, tuple[IpPrefix, ...]] = {}
    for node in routers(network):
        if node.role is Role.ROUTE_SERVER:
            found[node.name] = ()
            continue
        own = list(_holder(network, node).prefixes)
        for ways in served[node.name]:
            if not _within(_cover(ways[-1]), own):
                own.append(next(prefix for prefix in ways if wanted_by[prefix] == 1))
        found[node.name] = tuple(dict.fromkeys(own))
    for name, prefixes in _anycast(network, found).items():
        found[name] = (*found[name], *prefixes)
    return found


def anycast(network: Network) -> dict[str, tuple[IpPrefix, ...]]:
    """Returns the prefixes of foreign services that a router announces because some of their servers are there, by
    router; routers without any are left out. They are announced only to customers and the exchange's members."""
    return _anycast(network, announcements(network)) if network.instances else {}


def _anycast(network: Network, announced: Mapping[str, tuple[IpPrefix, ...]]) -> dict[str, tuple[IpPrefix, ...]]:
    abroad = [prefix for node in network.by_role(Role.TRANSIT) for prefix in announced[node.name]]
    found: dict[str, dict[IpPrefix, None]] = {}
    for hosted in network.instances:
        border = network.one(Role.BORDER, network.nodes[hosted.node].owner).name
        for address in hosted.addresses:
            around = (prefix for prefix in abroad if is_part(ipaddress.ip_network(address), prefix))
            found.setdefault(border, {})[max(around, key=lambda prefix: prefix.prefixlen)] = None
    return {name: tuple(prefixes) for name, prefixes in found.items()}


def systems(network: Network) -> dict[int, tuple[IpPrefix, ...]]:
    """Returns the prefixes that each autonomous system normally announces, by AS number; an anycast prefix is listed
    under the system abroad."""
    found: dict[int, tuple[IpPrefix, ...]] = {}
    for name, own in _held(network).items():
        number = asn(network, network.nodes[name])
        found[number] = (*found.get(number, ()), *own)
    return found


def holders(network: Network) -> dict[IpPrefix, str]:
    """Returns every prefix that is normally announced, with its owner; for an anycast prefix, the one abroad."""
    return {prefix: network.nodes[name].owner for name, own in _held(network).items() for prefix in own}


def _held(network: Network) -> dict[str, tuple[IpPrefix, ...]]:
    """Returns what each router announces, without anycast prefixes of others."""
    announced, others = announcements(network), anycast(network)
    return {name: tuple(p for p in own if p not in others.get(name, ())) for name, own in announced.items()}


def holder_of(prefix: IpPrefix, held: Mapping[IpPrefix, str]) -> str | None:
    """Returns the owner of the longest normally announced prefix that contains `prefix`, or None. `held`: as
    `holders`."""
    around = [each for each in held if is_part(prefix, each)]
    return held[max(around, key=lambda each: each.prefixlen)] if around else None


def _ways_to_announce(address: IpPrefix, blocks: Iterable[IpPrefix]) -> list[IpPrefix]:
    """Returns the prefixes in which an address can be announced, shortest first."""
    cover = _cover(address)
    around = [b for b in blocks if b.prefixlen < cover.prefixlen and _within(cover, [b])]
    return [*sorted(around, key=lambda block: block.prefixlen), cover, address]


def _within(inner: IpPrefix, prefixes: Iterable[IpPrefix]) -> bool:
    return any(is_part(inner, prefix) for prefix in prefixes)


def served_routes(network: Network, node: Node) -> list[Route]:
    """Returns routes to the served addresses that lie outside their host's own subnet, through that host."""
    return _served_routes(network, node, network.served)


def _served_routes(network: Network, node: Node, served: Iterable[Hosted]) -> list[Route]:
    found: list[Route] = []
    for hosted in served:
        host = network.nodes[hosted.node]
        if host.owner != node.owner:
            continue
        port = next((p for p in node.ports.values() if _leads_to(network, p.peer.node, host)), None)
        if port is None:
            continue
        own = [interface.network for each in host.ports.values() for interface in each.addresses]
        outside = (a for a in hosted.addresses if not any(a in subnet for subnet in own))
        found += [Route(ipaddress.ip_network(a), host.address(a.version), port.name) for a in outside]
    return list(dict.fromkeys(found))


def _pair(
    network: Network, relation: Relation, node: Node, port: str, other: Node, other_port: str
) -> Iterator[BgpSession]:
    peers = {a.version: a.ip for a in other.ports[other_port].addresses}
    for own in node.ports[port].addresses:
        if own.version in peers:
            name = f"{relation.name.lower()}_{other.name.translate(_SYMBOL)}_{own.version}"
            yield BgpSession(name, relation, own.ip, peers[own.version], asn(network, other), other.owner)


def _holder(network: Network, node: Node) -> Operator | Transit:
    topology = network.topology
    return topology.transits[node.owner] if node.role is Role.TRANSIT else topology.operators[node.owner]


def router_of(network: Network, name: str) -> Node:
    """Returns the border router of an operator, or a transit's router."""
    role = Role.TRANSIT if name in network.topology.transits else Role.BORDER
    return network.one(role, name)


def _meeting(network: Network, node: Node, other: Node) -> tuple[str, str]:
    """Returns the ports by which two networks meet: on the gateway's LAN, or at a satellite's gateway."""
    return ground_port(network, node, other).name, ground_port(network, other, node).name


def ground_port(network: Network, node: Node, other: Node) -> Port:
    """Returns a router's port towards another; one of the two buys from the other, or both are on the gateway's LAN."""
    if node.role is Role.TRANSIT:
        return node.port_for(f"to {other.owner}" if other.owner in network.topology.by_satellite else "gateway")
    return node.port_for("intl")


def _leads_to(network: Network, peer: str, host: Node) -> bool:
    """Returns whether a router's link ends at a host, or at the host's access switch."""
    at_switch = network.nodes[peer].role is Role.ACCESS_SWITCH
    return peer == host.name or (at_switch and any(p.peer.node == peer for p in host.ports.values()))


def _cover(host: IpPrefix) -> IpPrefix:
    return host.supernet(new_prefix=COVER[host.version])


def route_changes(network: Network, held: Callable[[str], Mapping[str, Policy]]) -> Damage:
    """Returns the changes that policies make to routes: withdrawn, announced in addition, leaked, or announced but
    discarded.

    `held`: returns the policies that an operator carries out, by its name. Groups' control addresses are never
    discarded, since controls prove that the path works.
    """
    every = cache(lambda: announcements(network))
    withdrawn, nulled, announced, leaked = set[Withdrawn](), set[Nulled](), set[Announced](), set[Leaked]()
    for node in network.by_role(Role.BORDER):
        owner = node.owner
        if owner in network.topology.by_satellite:
            continue
        orders = [policy for policy in held(owner).values() if policy.routes and policy.is_addressed_to(owner)]
        own = every()[node.name] if orders else ()
        for policy in orders:
            if (gone := policy.withdraw) is not None:
                withdrawn |= {Withdrawn(owner, p, gone.from_ is WithdrawalReach.ABROAD) for p in gone.of(own)}
            if (dark := policy.null_route) is not None:
                nulled |= {Nulled(owner, p, _spared(network, owner, p, dark.spare)) for p in dark.of(own)}
            if (added := policy.announce) is not None:
                announced |= {Announced(owner, p, added.to is AnnouncementReach.HOME, False) for p in added.of(own)}
            if (foreign := policy.hijack) is not None:
                announced.add(Announced(owner, foreign.prefix, foreign.to is AnnouncementReach.HOME, True))
            if (route := policy.leak) is not None:
                leaked.add(Leaked(owner, route.prefix, route.to))
    return Damage(
        withdrawn=frozenset(withdrawn), nulled=frozenset(nulled), announced=frozenset(announced),
        leaked=frozenset(leaked),
    )  # fmt: skip


def _spared(network: Network, owner: str, prefix: IpPrefix, spare: Iterable[IpPrefix]) -> tuple[IpPrefix, ...]:
    """Returns the spared prefixes, and the owner's subscribers' control addresses, that lie within a prefix."""
    vantages = (v.id for v in network.vantages if v.id.operator == owner)
    controls = (ipaddress.ip_network(a) for each in vantages for a in network.control_addresses(each))
    return tuple(sorted((p for p in (*spare, *controls) if is_part(p, prefix)), key=str))


def lost_sessions(network: Network, node: Node, damage: Damage) -> frozenset[str]:
    """Returns the names of a router's sessions that cannot be up with this damage."""
    if node.name in damage.routers:
        return frozenset(session.name for session in sessions(network, node))
    holders = {
        address.ip: each for each in routers(network) for port in each.ports.values() for address in port.addresses
    }
    found = set()
    for session in sessions(network, node):
        other = holders[session.neighbour]
        if other.name in damage.routers or _is_cut(network, session.relation, node, other, damage):
            found.add(session.name)
    return frozenset(found)


def _is_cut(network: Network, relation: Relation, node: Node, other: Node, damage: Damage) -> bool:
    if relation is Relation.PEER:
        return damage.breaks(node, other)
    if relation in {Relation.EXCHANGE, Relation.CLIENT}:
        return damage.is_off(network, (node if node.role is Role.BORDER else other).owner, "exchange")
    ends = (node, other)
    above = [each for each in ends if each.owner in network.topology.by_satellite]
    return any(damage.is_off(network, each.owner, "gateway") for each in above or ends)
