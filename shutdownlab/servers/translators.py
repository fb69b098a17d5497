"""NAT64 as deployed: tayga translates at an operator's border router, and at each subscriber on an IPv6-only line.

Both are stateless (RFC 7915): any IPv4 address is embedded in the operator's /96. nftables then maps a group to a
single IPv4 address beyond the border (`compiler.translation`).
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
"""The name of the translator's interface, on each node that has one."""
_SUBSCRIBERS: Final = IPv4Address("192.0.0.2")
"""The source address of ICMP errors from a subscriber's translator (RFC 7335)."""
_CONFIG: Final = "tayga.conf"


def translating(network: Network, operator: str) -> list[tuple[Vantage, IPv6Network]]:
    """Returns an operator's subscriber groups on IPv6-only lines, each with its translator's /96."""
    return [(v, v.nat64) for _, v in network.vantages_of(operator) if v.nat64 is not None]


def daemons(network: Network, directory: Path) -> Iterator[Daemon]:
    """Yields a translator for each border router and each subscriber that needs one."""
    for border in network.by_role(Role.BORDER):
        groups = translating(network, border.owner)
        if not groups:
            continue
        _, standing = groups[0]
        yield _tayga(border, border_config(network, border.owner), directory)
        for vantage, _ in groups:
            yield _tayga(network.subscriber(vantage.id), _config(_SUBSCRIBERS, standing), directory)


def border_config(network: Network, operator: str) -> str:
    """Returns the configuration of an operator's NAT64, which maps each subscriber's IPv6 address to an IPv4 one."""
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
