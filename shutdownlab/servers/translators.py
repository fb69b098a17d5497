"""NAT64 as it is: tayga translates at an operator's border router, and at each subscriber of a line of IPv6 alone.

Both are stateless (RFC 7915): by an operator's /96 an IPv4 address is written as an IPv6 one, whosever it is. That a
group is one address beyond the border is nftables' work (`compiler.translation`), after this one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

from shutdownlab.model import address_plan as plan
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.topology import Vantage
from shutdownlab.servers.daemon import Daemon

PROGRAM: Final = "tayga"
INTERFACE: Final = "nat64"
"""What the translator's interface is called, on each node that has one."""
_SUBSCRIBERS: Final = IPv4Address("192.0.0.2")
"""What a subscriber's own translator tells of packets that it cannot translate (RFC 7335)."""
_CONFIG: Final = "tayga.conf"


def translating(network: Network, operator: str) -> list[tuple[Vantage, IPv6Network]]:
    """An operator's subscriber groups whose lines carry IPv6 alone, each with the /96 that its translator has."""
    return [(v, v.nat64) for _, v in network.vantages_of(operator) if v.nat64 is not None]


def daemons(network: Network, directory: Path) -> Iterator[Daemon]:
    """A translator for each border router and each subscriber that needs one."""
    for border in network.by_role(Role.BORDER):
        groups = translating(network, border.owner)
        if not groups:
            continue
        _, standing = groups[0]
        yield _tayga(border, border_config(network, border.owner), directory)
        for vantage, _ in groups:
            yield _tayga(network.subscriber(vantage.id), _config(_SUBSCRIBERS, standing), directory)


def border_config(network: Network, operator: str) -> str:
    """The configuration of an operator's NAT64: whoever sends from an IPv6 address of his own gets an IPv4 one too."""
    groups = translating(network, operator)
    infrastructure = next(plan.subnets(network.topology.operators[operator].prefixes))
    own = next(b.network_address for b in infrastructure if isinstance(b, IPv4Network)) + plan.TRANSLATOR
    lines = []
    for vantage, _ in groups:
        v4, v6 = sorted(network.subnets[vantage.id], key=lambda block: block.version)
        lines.append(f"map {v4.network_address + plan.OF_IPV6} {v6.network_address + plan.SUBSCRIBER}")
    return _config(own, groups[0][1], *lines)


def _config(own: IPv4Address, standing: IPv6Network, *maps: str) -> str:
    return "\n".join([f"tun-device {INTERFACE}", f"ipv4-addr {own}", f"prefix {standing}", *maps]) + "\n"


def _tayga(node: Node, config: str, directory: Path) -> Daemon:
    home = directory / f"{PROGRAM}-{node.name}"
    argv = (PROGRAM, "-d", "-c", str(home / _CONFIG), "-p", str(home / "pid"))
    return Daemon(PROGRAM, node.name, argv, home, {_CONFIG: config})
