"""The address plan: the addresses that the emulator assigns, beside those that a topology and the app catalogue name.

The laboratory's own links (LANs, backbone, management) are in blocks that no topology may use. The first /24 (and /64)
of an operator's prefixes is its infrastructure; each subscriber group gets the next one. An operator without IPv6
prefixes is IPv4-only: none of its nodes has an IPv6 address. The first /24 (and /64) of a transit's prefixes is its
servers' subnet, whose end holds its customers who roam in the country. Apps with addresses in the catalogue keep them,
wherever they are hosted, except IPv6 ones at an IPv4-only operator.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Container, Iterable, Iterator, Mapping
from types import MappingProxyType

from shutdownlab.config.addresses import WIDTH, Address, Interface, IpPrefix, interface, prefix

Pair = tuple[IpPrefix, ...]
"""An IPv4 subnet and an IPv6 one; of an operator without IPv6, the IPv4 one alone."""


def _pair(v4: str, v6: str) -> Pair:
    return ipaddress.ip_network(v4), ipaddress.ip_network(v6)


LABORATORY = _pair("198.18.0.0/15", "2001:db8:ffff::/48")
"""RFC 2544's benchmarking block and a slice of RFC 3849's documentation block; all of the blocks below are within them.
"""

GATEWAY_LAN = _pair("198.18.0.0/18", "2001:db8:ffff:1::/64")
FURTHER_LANS = _pair("198.19.128.0/18", "2001:db8:ffff:5::/64"), _pair("198.19.192.0/18", "2001:db8:ffff:6::/64")
"""LANs of the gateways beside the national one, in order; the host numbers on them are those of the national LAN."""
EXCHANGE_LAN = _pair("198.18.64.0/18", "2001:db8:ffff:2::/64")
BACKBONE = _pair("198.18.128.0/18", "2001:db8:ffff:3::/64")
"""For the links between transits: a /30 and a /126 each."""
OBSERVATORY = _pair("198.18.192.0/18", "2001:db8:ffff:4::/64")
"""For the links between transits and the collector's peers at the observatory: a /30 and a /126 each. The last /26 and
/122 are the observatory's own."""
MANAGEMENT = ipaddress.IPv4Network("198.19.0.0/17")
"""The network over which switches and boxes reach their controllers. Its first address is the sandbox's, where
controllers listen."""

ROUTE_SERVER, FIRST_BORDER, FIRST_TRANSIT = 1, 11, 8193
"""Host numbers on the gateway's and the exchange's LAN."""

SUBNET_LENGTHS: Mapping[int, int] = MappingProxyType({4: 24, 6: 64})
"""Prefix lengths of infrastructure, subscriber group and server subnets, by IP version."""
_LINK_LENGTHS: Mapping[int, int] = MappingProxyType({4: 30, 6: 126})

RESOLVER: Mapping[int, int] = MappingProxyType({4: 53, 6: 0x53})
TELEPHONE: Mapping[int, int] = MappingProxyType({4: 57, 6: 0x57})
NAME_SERVER: Mapping[int, int] = MappingProxyType({4: 61, 6: 0x61})
CONTROL: Mapping[int, int] = MappingProxyType({4: 65, 6: 0x67})
"""Host numbers in an operator's infrastructure subnet: all but the name server's are on a point-to-point subnet with
the border router."""

ROUTER, SHARED, SUBSCRIBER_CONTROL, SUBSCRIBER, ATLAS_PROBE, FIRST_HOSTED = 1, 3, 9, 10, 11, 80
"""Host numbers in a subscriber group's subnet. `SHARED`: the IPv4 address that a carrier-grade NAT gives all of them.
`ATLAS_PROBE`: IPv4 only. What is counted or remembered of each client must not be of two.
"""
PROBED: Mapping[int, tuple[int, int]] = MappingProxyType({4: (192, 27), 6: (0x10000, 123)})
"""In a subscriber group's subnet: the first host number and the prefix length of the addresses that outsiders probe,
and from which background radiation comes. No NAT translates them."""
TRANSLATOR = 69
"""In an operator's infrastructure subnet, IPv4 only: the source address of its NAT64's ICMP errors about packets that
it cannot translate."""
OF_IPV6 = 4
"""In a subscriber group's /24: the address into which a NAT64 translates the group's own IPv6 address, before a
carrier-grade NAT translates them all into `SHARED`."""
_STANDS_FOR_IPV4 = 0x0064_FF9B_0000_0000
"""Offset, in an operator's infrastructure /64, of the /96 that represents IPv4 addresses. It is used instead of the
well-known prefix 64:ff9b::/96, which must not represent addresses that are not global (RFC 6052, section 3.1)."""
FIRST_HOP = 129
"""First host number, in an operator's infrastructure subnet, of the routers on its subscribers' lines; the first one is
the border router's neighbour."""
FIRST_HOP_ABROAD, HOPS_ABROAD = 12289, 32
"""First host number, on the gateway's LAN, of the routers on transits' links (the first one is the gateway's
neighbour); and how many numbers each transit has."""
SERVERS, FIRST_SERVED = 2, 10
"""Host numbers in a transit's server subnet, beside `ROUTER`."""
_GUESTS = 192
"""First host number, in a transit's server subnet, of the 64 addresses that are not on its servers' link."""
_HOME_RESOLVER: Mapping[int, int] = MappingProxyType({4: 1, 6: 2})
MOST_SERVED_AT_HOME = _GUESTS - FIRST_SERVED
"""How many servers without addresses of their own fit before `_GUESTS`."""
FIRST_GUEST, MOST_GUESTS = 4, 30
"""Among those 64 addresses: the first host number of the transit's customers who roam in the country, and the most
groups of them. A group takes two addresses: its own and its controls'. The resolver that they use comes before them."""


TUNNEL_HEADERS = 20 + 8 + 8
"""Octets that a GTP-U tunnel adds: the IPv4, UDP and GTP-U headers."""

_EVERYWHERE: Mapping[int, IpPrefix] = MappingProxyType(
    {4: ipaddress.IPv4Network("0.0.0.0/0"), 6: ipaddress.IPv6Network("::/0")}
)


def everywhere(version: int) -> IpPrefix:
    """Returns the prefix of a default route."""
    return _EVERYWHERE[version]


def versions_of(given: Iterable[Address | IpPrefix]) -> tuple[int, ...]:
    """Returns the IP versions of these prefixes or addresses, in order."""
    return tuple(sorted({each.version for each in given}))


def hosts(pair: Pair, number: int, versions: Container[int] = SUBNET_LENGTHS) -> list[Interface]:
    """Returns the interface addresses with host number `number` in a pair of subnets. `versions`: the IP versions that
    the host has."""
    return [interface(int(block.network_address) + number, block) for block in pair if block.version in versions]


def point_to_point(infrastructure: Pair, place: Mapping[int, int]) -> tuple[list[Interface], list[Interface]]:
    """Returns a service's addresses in an infrastructure subnet, and the router's addresses on the link to it."""
    own = [(block.version, int(block.network_address) + place[block.version]) for block in infrastructure]
    return (
        [_on_its_own(version, address) for version, address in own],
        [_on_its_own(version, address + (1 if version == 4 else -1)) for version, address in own],
    )


def guests(servers: Pair) -> Pair:
    """Returns the part of a transit's server subnet that belongs to its customers who roam in the country."""
    return tuple(prefix(b.version, int(b.network_address) + _GUESTS, 26 if b.version == 4 else 122) for b in servers)


def probed(subnet: IpPrefix) -> IpPrefix:
    """Returns the part of a subscriber group's subnet with the addresses that outsiders probe."""
    first, length = PROBED[subnet.version]
    return prefix(subnet.version, int(subnet.network_address) + first, length)


def home_resolver(pool: Pair) -> tuple[list[Interface], list[Interface]]:
    """Returns the addresses of the resolver that roaming subscribers use, and the router's addresses on the link to it.

    `pool`: as `guests` returns it.
    """
    return point_to_point(pool, _HOME_RESOLVER)


def shared(pair: Pair) -> ipaddress.IPv4Address | None:
    """Returns the address that a carrier-grade NAT gives the group with these subnets; None if it has no IPv4."""
    return next((b.network_address + SHARED for b in pair if isinstance(b, ipaddress.IPv4Network)), None)


def standing_for_ipv4(infrastructure: Pair) -> ipaddress.IPv6Network | None:
    """Returns an operator's /96 for representing IPv4 addresses as IPv6 ones (RFC 6052); None if it has no IPv6."""
    block = next((b for b in infrastructure if isinstance(b, ipaddress.IPv6Network)), None)
    return None if block is None else ipaddress.IPv6Network((int(block.network_address) + _STANDS_FOR_IPV4, 96))


def as_ipv6(standing: ipaddress.IPv6Network, ipv4: IpPrefix) -> ipaddress.IPv6Network:
    """Returns the IPv6 addresses that represent IPv4 ones in an operator's /96 (RFC 6052, section 2.2)."""
    first = int(standing.network_address) | int(ipv4.network_address)
    return ipaddress.IPv6Network((first, standing.prefixlen + ipv4.prefixlen))


def _on_its_own(version: int, address: int) -> Interface:
    """Returns an interface on a point-to-point subnet of four addresses."""
    return interface(address, prefix(version, address & ~3, WIDTH[version] - 2))


def subnets(prefixes: tuple[IpPrefix, ...]) -> Iterator[Pair]:
    """Yields one /24 and /64 after another out of an owner's prefixes; a /24 alone if none of these is IPv6."""
    return _pairs(prefixes, SUBNET_LENGTHS)


def backbone_links() -> Iterator[Pair]:
    """Yields one /30 and /126 after another."""
    return _pairs(BACKBONE, _LINK_LENGTHS)


def observatory_links() -> Iterator[Pair]:
    """Yields one /30 and /126 after another."""
    return _pairs(OBSERVATORY, _LINK_LENGTHS)


def fresh(pair: Pair, first: int) -> Iterator[list[Address]]:
    """Yields the addresses of a pair of subnets from host number `first` on, one of each IP version at a time."""
    return ([block.network_address + number for block in pair] for number in itertools.count(first))


def _pairs(prefixes: tuple[IpPrefix, ...], lengths: Mapping[int, int]) -> Iterator[Pair]:
    return zip(*(_blocks(prefixes, version, lengths[version]) for version in versions_of(prefixes)), strict=False)


def _blocks(prefixes: tuple[IpPrefix, ...], version: int, length: int) -> Iterator[IpPrefix]:
    """Yields the subnets of a prefix length; raises `ValueError` at a prefix that is longer."""
    for whole in prefixes:
        if whole.version != version:
            continue
        if whole.prefixlen > length:
            raise ValueError(f"{whole} has no room for a /{length}")
        first = int(whole.network_address)
        for number in range(first, first + whole.num_addresses, 1 << (WIDTH[version] - length)):
            yield prefix(version, number, length)
