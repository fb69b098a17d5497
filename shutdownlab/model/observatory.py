"""The observatory: a route collector abroad, with peers that send it their full tables. Pure.

It is a node with a link to every transit, and it carries no traffic of others. On it run a collector like those of RIPE
RIS and Route Views, and the routers of its peers: networks abroad that announce nothing, buy transit, and pass on their
whole table (a "full feed"). They differ in the transits through which they see the country.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shutdownlab.config.addresses import Address, Interface
from shutdownlab.model import address_plan as plan
from shutdownlab.model.address_plan import hosts
from shutdownlab.model.layout import mac_of
from shutdownlab.model.network import PLAIN, End, Link, Network, Node, Port, Role
from shutdownlab.model.routing import BgpSession, Relation
from shutdownlab.model.topology import Topology

NAME = "country_observatory"
"""A name that no node made from the user's names can have (`model.naming`)."""
PEERS = 8
"""Fewer would make IODA's rule, "seen by more than half of them", a coarse one."""
_TRANSIT, _PEER = 1, 2
_FEEDS, _COLLECTORS = 16, 32
_DOCUMENTATION = range(65536, 65552)
"""AS numbers for documentation (RFC 5398), some of which a topology may use itself; private ones follow."""
_PRIVATE = range(4_200_000_000, 4_294_967_295)
"""Private AS numbers (RFC 6996)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A network abroad that sends the collector a full feed. `number`: from 0; `homes`: the transits it buys from."""

    number: int
    asn: int
    homes: tuple[str, ...]


def collector_asn(topology: Topology) -> int:
    """Returns the collector's AS number."""
    return next(_free_numbers(topology))


def peers(topology: Topology) -> tuple[Peer, ...]:
    """Returns the collector's peers: in turn, each transit is the home of a peer, then the first home of one with two
    homes."""
    transits = list(topology.transits)
    numbers = itertools.islice(_free_numbers(topology), 1, None)
    return tuple(
        Peer(number, asn, _homes(transits, number)) for number, asn in zip(range(PEERS), numbers, strict=False)
    )


def observed(network: Network) -> Network:
    """Returns the same network with an observatory; nothing else changes, except that each transit gets one more
    port."""
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
        far_end = End(NAME, f"eth{place}")
        # A subnet for each session: bird does not allow two sessions with the same address.
        at_home = [next(subnets) for peer in peers(network.topology) if transit in peer.homes]
        addresses = [each for subnet in at_home for each in hosts(subnet, _TRANSIT)]
        router.ports[own.port] = _port(own, next(macs), addresses, len(router.ports) + 1, far_end)
        interfaces = [each for subnet in at_home for each in hosts(subnet, _PEER)]
        there.ports[far_end.port] = _port(far_end, next(macs), interfaces, place + 1, own)
        found.links.append(Link(own, far_end, PLAIN))
    return found


def observatory(network: Network) -> Node | None:
    """Returns the network's observatory; None if it has none."""
    return network.nodes.get(NAME)


def feeds(network: Network, transit: Node) -> list[BgpSession]:
    """Returns a transit's sessions with the collector's peers, which are its customers."""
    return [
        BgpSession(f"peer_{peer.number}_{own.version}", Relation.CUSTOMER, own.ip, peer_ip, peer.asn)
        for peer in peers(network.topology)
        for own, peer_ip in _sessions(network, transit, peer)
    ]


def homes_of(network: Network, peer: Peer) -> list[BgpSession]:
    """Returns a peer's sessions with the transits that it buys from."""
    return [
        BgpSession(f"home_{peer.number}_{place}_{own.version}", Relation.PROVIDER, home_ip, own.ip, transit.asn)
        for place, name in enumerate(peer.homes)
        for transit in [network.topology.transits[name]]
        for own, home_ip in _sessions(network, network.one(Role.TRANSIT, name), peer)
    ]


def collector_address(peer: Peer, version: int) -> Address:
    """Returns the address at which the collector listens for a peer."""
    return _loopback(version, _COLLECTORS + peer.number)


def feed_address(peer: Peer, version: int) -> Address:
    """Returns the source address of a peer's session with the collector, by which tables and updates identify the
    peer."""
    return _loopback(version, _FEEDS + peer.number)


def _loopback(version: int, place: int) -> Address:
    block = next(block for block in plan.OBSERVATORY if block.version == version)
    return block[-(1 << 6) + place]


def _homes(transits: list[str], number: int) -> tuple[str, ...]:
    first, again = transits[number % len(transits)], transits[(number + 1) % len(transits)]
    twice = (number // len(transits)) % 2 == 1 and again != first
    return (first, again) if twice else (first,)


def _sessions(network: Network, transit: Node, peer: Peer) -> Iterator[tuple[Interface, Address]]:
    """Yields the transit's interface on the link and the peer's address there, for each address family."""
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
    """Returns a copy of a transit that can get another port without changing the original network; other nodes as they
    are."""
    return replace(node, ports=dict(node.ports)) if node.role is Role.TRANSIT else node


def _port(end: End, mac: int, addresses: list[Interface], number: int, peer: End) -> Port:
    return Port(end.port, mac_of(mac), tuple(addresses), number, peer.node, peer)
