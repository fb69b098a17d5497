"""What the kernel announces of a network namespace's configuration while it changes: rtnetlink(7)'s multicast groups,
and nftables' (NFNLGRP_NFTABLES).

Left out is what follows by itself: routes of the kernel's own and of routing daemons, learnt path MTUs, link-local
addresses, carriers that come and go. iptables-legacy announces nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBi")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_NETFILTER: Final = 12
_RECEIVED: Final = 1 << 16

_LINKS, _QUEUES, _ADDRESSES, _ROUTES, _RULES = 1 << 0, 1 << 3, 1 << 4 | 1 << 8, 1 << 6 | 1 << 10, 1 << 7 | 1 << 18
_NFTABLES: Final = 1 << 6
_NFTABLES_SUBSYSTEM: Final = 10

_NEW_LINK, _DEL_LINK = 16, 17
_ADDRESS_KINDS, _ROUTE_KINDS, _RULE_KINDS = (20, 21), (24, 25), (32, 33)
_QUEUE_KINDS: Final = (36, 37, 40, 41, 44, 45)
"""Queueing disciplines, their classes and filters, each made or deleted."""
_IFF_UP: Final = 1
_SCOPE_LINK: Final = 253
_BY_ITSELF: Final = frozenset((1, 2, 9, 12))
"""Who makes such a route (rtm_protocol): ICMP's redirects, the kernel, router advertisements, BIRD."""
_CLONED: Final = 0x200


class NetlinkNews:
    """Listens in the calling thread's network namespace, from now on until it is closed."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._sockets = [
            _listening(socket.NETLINK_ROUTE, _LINKS | _QUEUES | _ADDRESSES | _ROUTES | _RULES),
            _listening(_NETFILTER, _NFTABLES),
        ]

    def changes(self) -> list[str]:
        """Returns what has been changed since the last call, each kind once: `nftables' rules`, `a route`, …"""
        route, netfilter = (b"".join(_waiting(each)) for each in self._sockets)
        found = [what for kind, body in _messages(route) if (what := _changed(kind, body))]
        if any(kind >> 8 == _NFTABLES_SUBSYSTEM for kind, _ in _messages(netfilter)):
            found.append("nftables' rules")
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Stops listening."""
        for each in self._sockets:
            each.close()


def _listening(protocol: int, groups: int) -> socket.socket:
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    listening.bind((0, groups))
    return listening


def _waiting(listening: socket.socket) -> Iterator[bytes]:
    """Yields the datagrams that have arrived. Of so many changes that some were lost, those before tell enough."""
    while True:
        try:
            yield listening.recv(_RECEIVED)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: some were lost, and the next call has those that were not
            continue


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields type and body of each message."""
    place = 0
    while place + _HEADER.size <= len(octets):
        length, kind, *_ = _HEADER.unpack_from(octets, place)
        yield kind, octets[place + _HEADER.size : place + length]
        place += max(_HEADER.size, (length + 3) // 4 * 4)


def _changed(kind: int, body: bytes) -> str:
    """Returns what a message of rtnetlink's says was changed; "" if that follows by itself."""
    if kind == _NEW_LINK:
        _, _, _, _, changed = _LINK.unpack_from(body)
        return "an interface" if changed & _IFF_UP else ""
    if kind == _DEL_LINK:
        return "an interface"
    if kind in _ADDRESS_KINDS:
        return "" if _ADDRESS.unpack_from(body)[3] == _SCOPE_LINK else "an address"
    if kind in _ROUTE_KINDS:
        *_, protocol, _, _, flags = _ROUTE.unpack_from(body)
        return "" if protocol in _BY_ITSELF or flags & _CLONED else "a route"
    if kind in _RULE_KINDS:
        return "a routing rule"
    return "a queueing discipline" if kind in _QUEUE_KINDS else ""
