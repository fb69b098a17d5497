"""Routers emulated on a link, because real paths have more hops than the model has routers. Pure.

Each decrements the TTL (RFC 791; the hop limit of RFC 8200). When it reaches 0, the packet is dropped and its sender
gets an ICMP "time exceeded" (RFC 792, RFC 4443) from the router's own address, as traceroute and TTL-limited probes
expect. They are transparent to everything else: ARP, neighbour discovery, multicast, and traffic between the link's own
ends (BGP with a TTL of 1) pass unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, ICMP, ICMPV6, UDP
from shutdownlab.inspection.checksum import checksum, ones_sum, pseudo_header
from shutdownlab.inspection.forge import ip_packet
from shutdownlab.system.vnet_header import HEADER, NO_OFFLOAD, unfinished_checksum

_KIND, _IP = HEADER + 12, HEADER + 14
"""Offsets of a frame's EtherType and IP packet, including the offload header."""
_IPV4, _IPV6 = ETHER_IPV4.to_bytes(2, "big"), ETHER_IPV6.to_bytes(2, "big")
_TTL: Final = 64
_LONGEST: Final = {4: 576, 6: 1280}
"""Maximum length of an ICMP error, in octets: RFC 1812, 4.3.2.3, and RFC 4443, 2.4 (c)."""
_ABOUT_NOTHING: Final = {4: frozenset({3, 4, 5, 11, 12}), 6: frozenset(range(128))}
"""Types of ICMP messages that never cause an error: errors themselves, and IPv4's redirect (RFC 1122, 3.2.2)."""


class Carried(NamedTuple):
    """A frame after the routers (`onwards`), or the ICMP error of the router that dropped it (`answer`).

    at: the dropping router's position, counted from 1 where the frame entered. Both frames are None if it was dropped
    without an error.
    """

    onwards: bytes | None
    answer: bytes | None = None
    at: int = 0


class Hops:
    """The routers on one link.

    routers: the IPv4 and the IPv6 address of each, in order from end a to end b. local: subnets of the link itself.
    """

    __slots__ = ("_count", "_local", "_routers")

    def __init__(self, routers: Iterable[tuple[Address, ...]], local: Iterable[IpPrefix]) -> None:
        self._routers = tuple(routers)
        self._count = len(self._routers)
        self._local: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for prefix in local:
            self._local[prefix.version].append((int(prefix.netmask), int(prefix.network_address)))

    def __len__(self) -> int:
        return self._count

    def carry(self, raw: bytes, *, back: bool) -> Carried:
        """Carries a frame with its offload header through the routers, from end a to b or, with `back`, from b to a."""
        kind = raw[_KIND:_IP]
        if kind == _IPV4 and len(raw) >= _IP + 20:
            version, at, source, target = 4, _IP + 8, raw[_IP + 12 : _IP + 16], raw[_IP + 16 : _IP + 20]
            apart = target[0] >= 224 or target[:2] == b"\xa9\xfe"
        elif kind == _IPV6 and len(raw) >= _IP + 40:
            version, at, source, target = 6, _IP + 7, raw[_IP + 8 : _IP + 24], raw[_IP + 24 : _IP + 40]
            apart = target[0] == 0xFF or _link_local(target) or _link_local(source)
        else:
            return Carried(raw)
        if apart or self._is_local(version, source, target):
            return Carried(raw)
        ttl = raw[at]
        if ttl <= self._count:
            passed = max(ttl - 1, 0)
            return Carried(None, self._answer(raw, version, passed, back), passed + 1)
        return Carried(_with_ttl(raw, version, at, ttl - self._count))

    def _is_local(self, version: int, source: bytes, target: bytes) -> bool:
        here, there = int.from_bytes(source, "big"), int.from_bytes(target, "big")
        for mask, net in self._local[version]:  # noqa: SIM110 - asked of every frame: any() takes twice as long
            if here & mask == net and there & mask == net:
                return True
        return False

    def _answer(self, raw: bytes, version: int, passed: int, back: bool) -> bytes | None:
        """Builds the "time exceeded" frame from the router that a packet reached after `passed` others.

        None if the packet must not cause an error.
        """
        if not _is_reported(raw, version):
            return None
        addresses = self._routers[self._count - 1 - passed if back else passed]
        router = next(address.packed for address in addresses if address.version == version)
        at = _IP + (8 if version == 4 else 7)
        quoted = _with_ttl(_finished(raw, version), version, at, min(raw[at], 1))[_IP:]
        length = int.from_bytes(quoted[2:4], "big") if version == 4 else 40 + int.from_bytes(quoted[4:6], "big")
        quoted = quoted[: min(length, _LONGEST[version] - (28 if version == 4 else 48))]
        source = raw[_IP + 12 : _IP + 16] if version == 4 else raw[_IP + 8 : _IP + 24]
        body = bytes((11 if version == 4 else 3, 0, 0, 0, 0, 0, 0, 0)) + quoted
        proto = ICMP if version == 4 else ICMPV6
        pseudo = b"" if version == 4 else pseudo_header(router, source, proto, len(body))
        body = body[:2] + checksum(pseudo + body).to_bytes(2, "big") + body[4:]
        link = raw[HEADER + 6 : HEADER + 12] + raw[HEADER : HEADER + 6] + raw[_KIND:_IP]
        return NO_OFFLOAD + link + ip_packet(router, source, proto, body, ttl=_TTL - passed, ipid=0)


def _link_local(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def _with_ttl(raw: bytes, version: int, at: int, ttl: int) -> bytes:
    """Returns a frame with another TTL, and IPv4's header checksum updated (RFC 1624)."""
    changed = bytearray(raw)
    if version == 4:
        field = int.from_bytes(raw[_IP + 10 : _IP + 12], "big")
        total = (0xFFFF - field) + (0xFFFF - (raw[at] << 8)) + (ttl << 8)
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        changed[_IP + 10 : _IP + 12] = (0xFFFF - total).to_bytes(2, "big")
    changed[at] = ttl
    return bytes(changed)


def _finished(raw: bytes, version: int) -> bytes:
    """Returns a frame with the checksum that was left to offload filled in, as it is quoted in an ICMP error."""
    unfinished = unfinished_checksum(raw)
    if unfinished is None:
        return raw
    start, field = HEADER + unfinished[0], HEADER + sum(unfinished)
    value = 0xFFFF - ones_sum(raw[start:])
    if value == 0 and raw[_IP + (9 if version == 4 else 6)] == UDP:
        value = 0xFFFF  # RFC 768: 0 means no checksum
    return raw[:field] + value.to_bytes(2, "big") + raw[field + 2 :]


def _is_reported(raw: bytes, version: int) -> bool:
    """Whether dropping a packet causes an ICMP error: not for ICMP errors, nor for fragments other than the first."""
    if version == 4:
        if int.from_bytes(raw[_IP + 6 : _IP + 8], "big") & 0x1FFF:
            return False
        proto, body = raw[_IP + 9], _IP + (raw[_IP] & 0x0F) * 4
        return proto != ICMP or body >= len(raw) or raw[body] not in _ABOUT_NOTHING[4]
    proto, body = raw[_IP + 6], _IP + 40
    if proto == 44 and len(raw) >= body + 8:  # a fragment (RFC 8200, 4.5)
        if int.from_bytes(raw[body + 2 : body + 4], "big") >> 3:
            return False
        proto, body = raw[body], body + 8
    return proto != ICMPV6 or body >= len(raw) or raw[body] not in _ABOUT_NOTHING[6]
