"""What the kernel announces of a network namespace's configuration while it changes: rtnetlink(7)'s multicast groups,
and nftables' (NFNLGRP_NFTABLES).

Left out is what follows by itself: routes of the kernel's own and of routing daemons, learnt path MTUs, link-local
addresses, neighbours that are found and forgotten, carriers that come and go. What is not announced is compared:
interfaces with those at the beginning, as programs (XDP) may be attached to them silently; for settings and
iptables-legacy see `kernel_settings`.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator
from typing import Final

INTERFACE: Final = "an interface"
SETTING: Final = "a sysctl"
"""What is said to be changed where an interface, or its forwarding or reverse path filter, is made or set otherwise."""

_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBi")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_NETFILTER: Final = 12
_RECEIVED: Final = 1 << 16

_LINKS, _QUEUES, _ADDRESSES, _ROUTES, _RULES = 1 << 0, 1 << 3, 1 << 4 | 1 << 8, 1 << 6 | 1 << 10, 1 << 7 | 1 << 18
_NEIGHBOURS, _SETTINGS = 1 << 2, 1 << 23 | 1 << 24
_NFTABLES: Final = 1 << 6
_NFTABLES_SUBSYSTEM: Final = 10

_NEW_LINK, _DEL_LINK, _GET_LINK = 16, 17, 18
_NEW_NEIGHBOUR, _DEL_NEIGHBOUR, _NETCONF = 28, 29, 80
_ADDRESS_KINDS, _ROUTE_KINDS, _RULE_KINDS = (20, 21), (24, 25), (32, 33)
_QUEUE_KINDS: Final = (36, 37, 40, 41, 44, 45)
"""Queueing disciplines, their classes and filters, each made or deleted."""
_IFF_UP, _IFF_NOARP = 1, 0x80
_COMPARED: Final = frozenset((1, 4, 10, 43))
"""Of an interface (IFLA_…): its hardware address, MTU, master and XDP programs."""
_EVENT, _FEATURES = 44, struct.pack("=I", 2)
_DONE, _ERROR = 3, 2
_REQUEST_DUMP: Final = 0x301
_SCOPE_LINK: Final = 253
_BY_ITSELF: Final = frozenset((1, 2, 9, 12))
"""Who makes such a route (rtm_protocol): ICMP's redirects, the kernel, router advertisements, BIRD."""
_CLONED: Final = 0x200


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("first", ctypes.POINTER(_Instruction)))


_LOAD_HALF, _EQUAL, _ANY_BIT, _RETURN = 0x28, 0x15, 0x45, 0x06
_KIND_AT, _STATE_AT = 4, 24
_PERMANENT: Final = 0x80
_FILTER: Final = (
    (_LOAD_HALF, 0, 0, _KIND_AT),
    (_EQUAL, 4, 0, socket.htons(_DEL_NEIGHBOUR)),
    (_EQUAL, 0, 2, socket.htons(_NEW_NEIGHBOUR)),
    (_LOAD_HALF, 0, 0, _STATE_AT),
    (_ANY_BIT, 0, 1, socket.htons(_PERMANENT)),
    (_RETURN, 0, 0, 0xFFFFFFFF),
    (_RETURN, 0, 0, 0),
)
"""Of neighbours (ndmsg), only those that are permanent: somebody has written them. The kernel tells of all others
whenever one is found or asked again, and they would fill the socket."""
_SO_ATTACH_FILTER: Final = 26


class NetlinkMonitor:
    """Listens in the calling thread's network namespace, from now on until it is closed."""

    def __init__(self) -> None:
        """Raises OSError."""
        groups = _LINKS | _QUEUES | _ADDRESSES | _ROUTES | _RULES | _NEIGHBOURS | _SETTINGS
        self._route, self._netfilter = _listening(socket.NETLINK_ROUTE, groups), _listening(_NETFILTER, _NFTABLES)
        self._interfaces = _interfaces()

    def changes(self) -> list[str]:
        """Returns what has been changed since the last call, each kind once: `nftables' rules`, `a route`, …

        To be called in the same network namespace.
        """
        messages = [*_messages(b"".join(_waiting(self._route)))]
        found = [what for kind, body in messages if (what := _changed(kind, body))]
        now = _interfaces()
        seen = [now, *(dict([_interface(body)]) for kind, body in messages if kind == _NEW_LINK)]
        found += [INTERFACE for each in seen if any(self._interfaces.get(i) != each[i] for i in each)]
        self._interfaces = now
        if any(kind >> 8 == _NFTABLES_SUBSYSTEM for kind, _ in _messages(b"".join(_waiting(self._netfilter)))):
            found.append("nftables' rules")
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Stops listening."""
        self._route.close()
        self._netfilter.close()


def _listening(protocol: int, groups: int) -> socket.socket:
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    if protocol == socket.NETLINK_ROUTE:
        instructions = (_Instruction * len(_FILTER))(*(_Instruction(*each) for each in _FILTER))
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(_Program(len(_FILTER), instructions)))
    listening.bind((0, groups))
    return listening


def _interfaces() -> dict[int, bytes]:
    """Returns what is compared of each interface of the calling thread's network namespace, by its index."""
    found: dict[int, bytes] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
        asking.bind((0, 0))
        request = _LINK.pack(0, 0, 0, 0, 0)
        asking.send(_HEADER.pack(_HEADER.size + _LINK.size, _GET_LINK, _REQUEST_DUMP, 1, 0) + request)
        while True:
            for kind, body in _messages(asking.recv(_RECEIVED)):
                if kind in (_DONE, _ERROR):
                    return found
                found |= [_interface(body)]


def _interface(body: bytes) -> tuple[int, bytes]:
    """Returns an interface's index, and what is compared of it."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    kept = [value for kind, value in _attributes(body[_LINK.size :]) if kind in _COMPARED]
    return index, b"".join((bytes([flags & (_IFF_UP | _IFF_NOARP)]), *kept))


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(octets):
        length, kind = struct.unpack_from("=HH", octets, place)
        yield kind & 0x3FFF, octets[place + 4 : place + length]
        place += max(4, (length + 3) // 4 * 4)


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
        offloads = (_EVENT, _FEATURES) in _attributes(body[_LINK.size :])
        return INTERFACE if changed & _IFF_UP or offloads else ""
    if kind == _DEL_LINK:
        return INTERFACE
    if kind in _ADDRESS_KINDS:
        return "" if _ADDRESS.unpack_from(body)[3] == _SCOPE_LINK else "an address"
    if kind in _ROUTE_KINDS:
        *_, protocol, _, _, flags = _ROUTE.unpack_from(body)
        return "" if protocol in _BY_ITSELF or flags & _CLONED else "a route"
    if kind in _RULE_KINDS:
        return "a routing rule"
    if kind == _NEW_NEIGHBOUR:
        return "a neighbour's address"
    if kind == _NETCONF:
        return SETTING
    return "a queueing discipline" if kind in _QUEUE_KINDS else ""
