"""The observatory: where a route collector stands, abroad, with networks that send it all they know. Pure.

It is a node that has a link with every transit and carries nobody's traffic. On it are a collector, as RIPE RIS and
Route Views have them, and the routers of its peers: networks abroad that announce nothing, buy transit, and pass their
whole table on (a "full feed"). They differ by the transits through which they see the country.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shutdownlab.config.addresses import Address, Interface
from shutdownlab.model import address_plan as plan
from shutdownlab.model.address_plan import hosts
from shutdownlab.model.network import PLAIN, End, Link, Network, Node, Port, Role, mac_of
from shutdownlab.model.routing import BgpSession, Relation
from shutdownlab.model.topology import Topology

NAME = "country_observatory"
"""A name that no user's can be like (`model.naming`)."""
PEERS = 8
"""Fewer would make IODA's rule, "seen by more than half of them", a coarse one."""
_TRANSIT, _PEER = 1, 2
_FEEDS, _COLLECTORS = 16, 32
_DOCUMENTATION = range(65536, 65552)
"""AS numbers for documentation (RFC 5398), of which topologies may have some themselves; private ones follow."""
_PRIVATE = range(4_200_000_000, 4_294_967_295)
"""RFC 6996."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A network abroad with a full feed for the collector. `number`: from 0; `homes`: whom it buys transit from."""

    number: int
    asn: int
    homes: tuple[str, ...]


def collector_asn(topology: Topology) -> int:
    """The AS number of the collector."""
    return next(_free_numbers(topology))


def peers(topology: Topology) -> tuple[Peer, ...]:
    """The collector's peers: one transit after the other is a home of one, then each of one that has two homes."""
    transits = list(topology.transits)
    numbers = itertools.islice(_free_numbers(topology), 1, None)
    return tuple(
        Peer(number, asn, _homes(transits, number)) for number, asn in zip(range(PEERS), numbers, strict=False)
    )


def observed(network: Network) -> Network:
    """The same network with an observatory; what was there is as it was, but for a port more at each transit."""
    nodes = {name: _with_room(node) for name, node in network.nodes.items()}
    there = Node(NAME, Role.OBSERVATORY, NAME, "observatory: route collector and its peers")
    found = Network(
        network.topology,
        links=list(network.links),
        subnets=network.subnets,
        hosted=network.hosted,
        instances=network.instances,
    )
    for node in (*nodes.values(), there):
        found.add(node)
    macs = itertools.count(2 * len(network.links) + 1)
    subnets = plan.observatory_links()
    for place, transit in enumerate(network.topology.transits):
        router = found.one(Role.TRANSIT, transit)
        own = End(router.name, f"eth{len(router.ports)}")
        theirs = End(NAME, f"eth{place}")
        # A subnet for each session: bird has no two with the same address.
        at_home = [next(subnets) for peer in peers(network.topology) if transit in peer.homes]
        ours = [each for subnet in at_home for each in hosts(subnet, _TRANSIT)]
        router.ports[own.port] = _port(own, next(macs), ours, len(router.ports) + 1, theirs)
        interfaces = [each for subnet in at_home for each in hosts(subnet, _PEER)]
        there.ports[theirs.port] = _port(theirs, next(macs), interfaces, place + 1, own)
        found.links.append(Link(own, theirs, PLAIN))
    return found


def observatory(network: Network) -> Node | None:
    """The observatory of a network that has one."""
    return network.nodes.get(NAME)


def feeds(network: Network, transit: Node) -> list[BgpSession]:
    """A transit's sessions with the collector's peers, which are its customers."""
    return [
        BgpSession(f"peer_{peer.number}_{own.version}", Relation.CUSTOMER, own.ip, theirs, peer.asn)
        for peer in peers(network.topology)
        for own, theirs in _sessions(network, transit, peer)
    ]


def homes_of(network: Network, peer: Peer) -> list[BgpSession]:
    """A peer's sessions with the transits that it buys from."""
    return [
        BgpSession(f"home_{peer.number}_{place}_{own.version}", Relation.PROVIDER, theirs, own.ip, transit.asn)
        for place, name in enumerate(peer.homes)
        for transit in [network.topology.transits[name]]
        for own, theirs in _sessions(network, network.one(Role.TRANSIT, name), peer)
    ]


def collector_address(peer: Peer, version: int) -> Address:
    """Where the collector listens for a peer."""
    return _loopback(version, _COLLECTORS + peer.number)


def feed_address(peer: Peer, version: int) -> Address:
    """Where a peer's session with the collector comes from; it is how tables and updates name the peer."""
    return _loopback(version, _FEEDS + peer.number)


def _loopback(version: int, place: int) -> Address:
    block = next(block for block in plan.OBSERVATORY if block.version == version)
    return block[-(1 << 6) + place]


def _homes(transits: list[str], number: int) -> tuple[str, ...]:
    first, again = transits[number % len(transits)], transits[(number + 1) % len(transits)]
    twice = (number // len(transits)) % 2 == 1 and again != first
    return (first, again) if twice else (first,)


def _sessions(network: Network, transit: Node, peer: Peer) -> Iterator[tuple[Interface, Address]]:
    """The transit's interface on the link, and the peer's address there, in each address family."""
    port = next((port for port in transit.ports.values() if port.peer.node == NAME), None)
    if port is None or transit.owner not in peer.homes:
        return
    at_home = [each for each in peers(network.topology) if transit.owner in each.homes]
    place = 2 * at_home.index(peer)
    for own in port.addresses[place : place + 2]:
        yield own, own.network.network_address + _PEER


def _free_numbers(topology: Topology) -> Iterator[int]:
    taken = {topology.exchange.asn, *(operator.asn for operator in topology.operators.values())}
    taken |= {transit.asn for transit in topology.transits.values()}
    return (number for number in itertools.chain(_DOCUMENTATION, _PRIVATE) if number not in taken)


def _with_room(node: Node) -> Node:
    """A transit that may get another port, without the network that it is from noticing."""
    return replace(node, ports=dict(node.ports)) if node.role is Role.TRANSIT else node


def _port(end: End, mac: int, addresses: list[Interface], number: int, peer: End) -> Port:
    return Port(end.port, mac_of(mac), tuple(addresses), number, peer.node, peer)
