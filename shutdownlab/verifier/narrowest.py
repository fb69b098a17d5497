"""What on a way carries the shortest packets only: path MTU discovery (RFC 1191, RFC 8201) on the model. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shutdownlab.model.cables import EXCHANGE, TO
from shutdownlab.model.network import PLAIN, Network, Node, Role
from shutdownlab.model.routing import ROUTER_ROLES
from shutdownlab.verifier.ways import Crossing, Way


class Narrowest(NamedTuple):
    """How many octets the longest packet has that gets all the way, what does not carry longer ones, and which router
    tells their senders so (empty: it is their own line). is_line: a subscriber's, to which TCP's ends agree."""

    octets: int
    link: str
    router: str
    is_line: bool


def narrowest(network: Network, way: Way) -> Narrowest | None:
    """Of a way, the first of those that carry the least; None: all of it carries what Ethernet does."""
    if not network.is_narrow:
        return None
    return min((leg for leg in _legs(network, way) if leg.octets < PLAIN.mtu), key=lambda leg: leg.octets, default=None)


def _legs(network: Network, way: Way) -> Iterator[Narrowest]:
    """Lines and cables in their order."""
    last: Node | None = None
    crossed: list[str] = []
    for place, hop in enumerate(way.hops):
        if place in way.hidden:
            continue
        if isinstance(hop, Crossing):
            crossed.append(hop.switch)
        elif isinstance(hop, str):
            node = network.nodes[hop]
            if last is not None:
                router = last.name if last.role in ROUTER_ROLES else ""
                is_line = last.vantage is not None or node.vantage is not None
                for octets, link in _between(network, last, node, crossed):
                    yield Narrowest(octets, link, router, is_line)
            last, crossed = node, []


def _between(network: Network, one: Node, following: Node, crossed: Sequence[str]) -> Iterator[tuple[int, str]]:
    """What a host or router sends a packet over to the next one."""
    for vantage in (one.vantage, following.vantage):
        if vantage is not None:
            yield network.mtu(vantage), f"the {vantage.access} line of {vantage.id}"
    if one.role not in ROUTER_ROLES or following.role not in ROUTER_ROLES:
        return
    ends = [(one.owner, following.owner)]
    gateway = network.gateway_of(one.owner)
    if gateway.name in crossed or one.role is following.role is Role.BORDER:
        lan = gateway.owner if gateway.name in crossed else EXCHANGE
        ends = [(one.owner, lan), (following.owner, lan)]
    for pair in ends:
        yield network.topology.mtu_between(*pair), TO.join(pair)
