"""The link with the smallest MTU on a path: path MTU discovery (RFC 1191, RFC 8201) on the model. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shutdownlab.model.cables import EXCHANGE, TO
from shutdownlab.model.network import PLAIN, Network, Node, Role
from shutdownlab.model.routing import ROUTER_ROLES
from shutdownlab.verifier.ways import Crossing, Way


class Narrowest(NamedTuple):
    """The link with the smallest MTU on a path.

    octets: its MTU.
    link: its description.
    router: the router that sends ICMP errors about longer packets; "" if it is the sender's own line.
    is_line: whether it is a subscriber's line; TCP's ends choose a segment size that fits it.
    """

    octets: int
    link: str
    router: str
    is_line: bool


def narrowest(network: Network, way: Way) -> Narrowest | None:
    """Returns the first of a path's narrowest links; None if all of them have Ethernet's MTU."""
    if not network.is_narrow:
        return None
    return min((leg for leg in _legs(network, way) if leg.octets < PLAIN.mtu), key=lambda leg: leg.octets, default=None)


def _legs(network: Network, way: Way) -> Iterator[Narrowest]:
    """Yields the path's lines and links between routers, in order."""
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
    """Yields the MTU and name of each link between two adjacent hosts or routers."""
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
