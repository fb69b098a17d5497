"""Parses, compares and formats IP addresses and prefixes in files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import partial
from socket import AF_INET, AF_INET6, inet_pton
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator

from shutdownlab.config.document import Expected
from shutdownlab.config.scalars import text_like, written

IpPrefix = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
WIDTH = {4: 32, 6: 128}
"""Address length in bits, by IP version."""


def network(value: Any) -> IpPrefix:
    """Parses a prefix such as `"100.64.0.0/16"` or `"2001:db8::/32"`; a bare address is a host prefix. Raises
    `Expected`."""
    if isinstance(value, IpPrefix):
        return value
    if isinstance(value, str) and (plain := plain_prefix(value)) is not None:
        return prefix(*plain)
    expected = "an IPv4 or IPv6 prefix such as 100.64.0.0/16 or 2001:db8::/32"
    text = str(value) if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address) else written(value)
    if "%" in text:
        raise Expected(expected, "without a zone (what follows the %)")
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise Expected(expected, _meant(text)) from None
    if found.version == 6 and found.subnet_of(_MAPPED):
        inside = ipaddress.IPv4Address(int(found.network_address) & 0xFFFFFFFF)
        raise Expected(expected, f"no packet has such an address: write {inside}/{found.prefixlen - _MAPPED.prefixlen}")
    return found


def _meant(text: str) -> str:
    """Returns what to write instead of a prefix whose host bits are set, or "" for other texts."""
    try:
        meant = ipaddress.ip_interface(text)
    except ValueError:
        bare = re.sub(r":[0-9]+\Z", "", text).strip("[]")
        return "write the address alone, without a port" if bare != text and is_address(bare) else ""
    return f"write {meant.network}, or {meant.ip} for the address alone"


def plain_prefix(text: str) -> tuple[int, int, int] | None:
    """Returns the IP version, first address and length of a prefix in its usual form; None for anything else.

    Takes a fifth of `ip_network`'s time: lists have hundreds of thousands of prefixes.
    """
    start, slash, length = text.partition("/")
    bits = _LENGTHS.get(length, -1) if slash else 128
    try:
        if ":" not in start:
            number = int.from_bytes(inet_pton(AF_INET, start), "big")
            bits = bits if slash else 32
            return None if not 0 <= bits <= 32 or number & (0xFFFFFFFF >> bits) else (4, number, bits)
        number = int.from_bytes(inet_pton(AF_INET6, start), "big")
    except (OSError, ValueError):
        return None
    if bits < 0 or number & (_ALL_ONES >> bits) or number >> 32 == MAPPED_ABOVE:
        return None
    return 6, number, bits


def prefix(version: int, first: int, length: int) -> IpPrefix:
    """Returns the prefix with the address `first`, whose host bits must be zero, and a length.

    Takes half of `ip_network`'s time: attributes that all prefixes of a length share are computed once.
    """
    kind, address_kind, same = _SAME[version]
    made = kind.__new__(kind)
    own = made.__dict__
    own.update(same[length])
    own["network_address"] = address_kind(first)
    if length >= len(same) - 2:  # its one or two addresses are all hosts: no network or broadcast address
        own["hosts"] = made.__iter__ if length == len(same) - 2 else partial(_alone, address_kind, first)
    return made


def interface(address: int, network: IpPrefix) -> Interface:
    """Returns an interface's address with its network, in a third of the time that `ip_interface` takes."""
    made: Interface
    if isinstance(network, ipaddress.IPv4Network):
        made = ipaddress.IPv4Interface.__new__(ipaddress.IPv4Interface)
        ipaddress.IPv4Address.__init__(made, address)
    else:
        made = ipaddress.IPv6Interface.__new__(ipaddress.IPv6Interface)
        ipaddress.IPv6Address.__init__(made, address)
    vars(made).update(_INTERFACES[network.version][network.prefixlen], network=network)
    return made


def _alone(kind: type[Address], first: int) -> list[Address]:
    return [kind(first)]


_SAME: Mapping[int, tuple[type[IpPrefix], type[Address], Sequence[Mapping[str, object]]]] = {
    4: (
        ipaddress.IPv4Network,
        ipaddress.IPv4Address,
        [vars(ipaddress.IPv4Network((0, length))) for length in range(33)],
    ),
    6: (
        ipaddress.IPv6Network,
        ipaddress.IPv6Address,
        [vars(ipaddress.IPv6Network((0, length))) for length in range(129)],
    ),
}
_INTERFACES: Mapping[int, Sequence[Mapping[str, object]]] = {
    4: [vars(ipaddress.IPv4Interface((0, length))) for length in range(33)],
    6: [vars(ipaddress.IPv6Interface((0, length))) for length in range(129)],
}
_LENGTHS = {str(length): length for length in range(129)}
_ALL_ONES = (1 << 128) - 1
MAPPED_ABOVE = 0xFFFF
"""The bits above the IPv4 address in an IPv4-mapped IPv6 address."""


def address(value: Any) -> Address:
    """Parses an address such as `"192.0.2.1"` or `"2001:db8::1"`. Raises `Expected`."""
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return value
    text = written(value)
    if not is_address(text):
        raise Expected("an IPv4 or IPv6 address such as 192.0.2.1 or 2001:db8::1")
    found = ipaddress.ip_address(text)
    if found.version == 6 and found.ipv4_mapped is not None:
        raise Expected("an IPv4 or IPv6 address", f"no packet has such an address: write {found.ipv4_mapped}")
    return found


def is_for_hosts(prefix: IpPrefix) -> bool:
    """Returns whether hosts can have its addresses: none is "this host", loopback, link-local, multicast or reserved.

    Source: IANA's special-purpose address registries (RFC 6890).
    """
    return not any(overlap(prefix, special) for special in _SPECIAL)


def is_special(prefix: IpPrefix) -> bool:
    """Returns whether no host can have any of its addresses: see `is_for_hosts`."""
    return any(is_part(prefix, special) for special in _SPECIAL)


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as shown by IPv6 sockets (RFC 4291 §2.5.5.2); never on the wire."""

_SPECIAL = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
        *("::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"),
    )
)


def overlap(a: IpPrefix, b: IpPrefix) -> bool:
    return a.version == b.version and a.overlaps(b)


def is_address(text: str) -> bool:
    """Returns whether `text` is an IP address without a zone: `fe80::1%eth0` is not."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


# Not `BeforeValidator`: pydantic would then try an IPv6 prefix as an IPv4 one, which takes longer than parsing it.
Prefix = Annotated[IpPrefix, PlainValidator(network), text_like("prefix or address", "100.64.0.0/16", "2001:db8::/32")]
AnAddress = Annotated[Address, BeforeValidator(address), text_like("address", "192.0.2.1", "2001:db8::1")]


def endpoint(ip: str, port: int) -> str:
    """Formats an address and port: `192.0.2.1:443`, `[2001:db8::1]:443`."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def is_part(inner: IpPrefix, outer: IpPrefix) -> bool:
    """Returns whether `inner` equals `outer` or lies within it."""
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
