"""rtnetlink(7) requests sent in batches, to configure thousands of nodes.

pyroute2 is used for everything else. Its encoding and event loop cost a millisecond of processor time per request, a
tenth of it in the kernel, and a country of a hundred operators takes 26,000 requests.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_network
from typing import Final

from pyroute2 import NetlinkError

_HEADER: Final = struct.Struct("=IHHII")
_ERROR: Final = struct.Struct("=i")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBi")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")

_NLMSG_ERROR: Final = 2
_REQUEST, _ACK, _REPLACE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_IFF_UP: Final = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_CACHEINFO = 1, 2, 4, 6
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_METRICS = 1, 4, 5, 8
_RTA_PRIORITY = 6
_RTAX_LOCK, _RTAX_MTU = 1, 2
_BEFORE_ITS_OWN = 128  # preferred to the kernel's own IPv6 on-link routes, which have metric 256 and stay
_FOR_EVER: Final = 0xFFFFFFFF
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_SCOPE_EVERYWHERE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_TYPE_UNICAST, _TYPE_LOCAL = 1, 2
_PROTOCOL_STATIC: Final = 4
_LOOPBACK: Final = 1
_AT_ONCE: Final = 64
"""Requests per batch: their acknowledgements fit in a receive buffer of any size."""


@dataclass(frozen=True, slots=True)
class Request:
    """A change to the network configuration. `what` describes it, completing "the kernel refuses …"."""

    kind: int
    flags: int
    body: bytes
    what: str


def veth(
    name: str,
    index: int,
    mac: str | None,
    peer: tuple[str, int, str | None, int],
    mtus: tuple[int | None, int | None] = (None, None),
) -> Request:
    """Creates a veth pair, whose first interface is up.

    mac: MAC address of the first interface; None for a random one.
    peer: name, index, MAC address (or None) and namespace descriptor of the second interface.
    mtus: MTUs of the first and the second interface in octets; None for Ethernet's.
    """
    other, other_index, other_mac, namespace = peer
    there = _LINK.pack(0, 0, other_index, 0, 0) + _named(other, other_mac, mtus[1])
    there += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", namespace))
    data = _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, there))
    body = _LINK.pack(0, 0, index, _IFF_UP, _IFF_UP) + _named(name, mac, mtus[0])
    body += _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"veth") + data)
    return Request(_NEW_LINK, _CREATE | _EXCLUSIVE, body, f"the veth pair {name} and {other}")


def enslaved(index: int, master: int) -> Request:
    """Makes interface `index` a port of bridge `master`."""
    body = _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFLA_MASTER, struct.pack("=I", master))
    return Request(_NEW_LINK, 0, body, f"interface {index} in bridge {master}")


def address(index: int, value: IPv4Interface | IPv6Interface, *, deprecated: bool = False) -> Request:
    """Adds an address to an interface.

    deprecated: for IPv6, not used as a source address unless a socket is bound to it (RFC 4862, section 5.5.4).
    """
    packed = value.ip.packed
    body = _ADDRESS.pack(_family(value.ip), value.network.prefixlen, 0, 0, index) + _attribute(_IFA_ADDRESS, packed)
    if isinstance(value, IPv4Interface):
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_BROADCAST, value.network.broadcast_address.packed)
    elif deprecated:
        body += _attribute(_IFA_CACHEINFO, struct.pack("=IIII", 0, _FOR_EVER, 0, 0))
    return Request(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body, f"address {value}")


def local(prefix: str) -> Request:
    """Makes all addresses of a prefix the node's own."""
    target = ip_network(prefix)
    body = _ROUTE.pack(
        _family(target.network_address), target.prefixlen, 0, 0,
        _TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _TYPE_LOCAL, 0,
    )  # fmt: skip
    body += _attribute(_RTA_DST, target.network_address.packed) + _attribute(_RTA_OIF, struct.pack("=I", _LOOPBACK))
    return Request(_NEW_ROUTE, _CREATE | _EXCLUSIVE, body, f"{prefix} as its own")


def route(
    prefix: str,
    gateway: IPv4Address | IPv6Address | None,
    index: int | None,
    mtu: int | None = None,
    *,
    forwards: bool = False,
) -> Request:
    """Adds a route, or replaces the existing one.

    prefix: "default" is of the gateway's IP version, or IPv4 without a gateway.
    gateway: None for an on-link route.
    mtu: MTU of the route in octets, where it is smaller than the link's.
    forwards: whether the node is a router; Linux applies an IPv6 route's MTU to forwarded packets only if it is locked.
    """
    version = gateway.version if gateway else 6 if ":" in prefix else 4
    target = ip_network(("0.0.0.0/0" if version == 4 else "::/0") if prefix == "default" else prefix)
    scope = _SCOPE_EVERYWHERE if gateway else _SCOPE_LINK
    body = _ROUTE.pack(
        _family(target.network_address), target.prefixlen, 0, 0,
        _TABLE_MAIN, _PROTOCOL_STATIC, scope, _TYPE_UNICAST, 0,
    )  # fmt: skip
    if target.prefixlen:
        body += _attribute(_RTA_DST, target.network_address.packed)
    if gateway:
        body += _attribute(_RTA_GATEWAY, gateway.packed)
    if index is not None:
        body += _attribute(_RTA_OIF, struct.pack("=I", index))
    if mtu is not None:
        if version == 6 and gateway is None:
            body += _attribute(_RTA_PRIORITY, struct.pack("=I", _BEFORE_ITS_OWN))
        lock = _attribute(_RTAX_LOCK, struct.pack("=I", 1 << _RTAX_MTU)) if forwards else b""
        body += _attribute(_RTA_METRICS, lock + _attribute(_RTAX_MTU, struct.pack("=I", mtu)))
    return Request(_NEW_ROUTE, _CREATE | _REPLACE, body, f"route to {prefix}")


def carry_out(requests: Sequence[Request]) -> None:
    """Carries out requests, in order, in the calling thread's network namespace.

    Raises pyroute2.NetlinkError for the first request that the kernel refuses, after trying all of them.
    """
    refused: NetlinkError | None = None
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        for start in range(0, len(requests), _AT_ONCE):
            batch = requests[start : start + _AT_ONCE]
            kernel.send(b"".join(_message(number, each) for number, each in enumerate(batch)))
            answered = 0
            while answered < len(batch):
                for number, error in _answers(kernel.recv(1 << 16)):
                    answered += 1
                    if error and refused is None:
                        refused = NetlinkError(error, f"the kernel refuses {batch[number].what}: {os.strerror(error)}")
    if refused is not None:
        raise refused


def _message(number: int, request: Request) -> bytes:
    body = request.body
    padded = body + bytes(-len(body) % 4)
    return _HEADER.pack(_HEADER.size + len(body), request.kind, _REQUEST | _ACK | request.flags, number, 0) + padded


def _answers(data: bytes) -> list[tuple[int, int]]:
    """Returns the sequence number and errno (0: success) of each acknowledgement in a datagram."""
    found, place = [], 0
    while place < len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, place)
        if kind == _NLMSG_ERROR:
            found.append((number, -_ERROR.unpack_from(data, place + _HEADER.size)[0]))
        place += length + -length % 4
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _named(name: str, mac: str | None, mtu: int | None) -> bytes:
    named = _attribute(_IFLA_IFNAME, name.encode() + b"\0")
    if mac:
        named += _attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    return named if mtu is None else named + _attribute(_IFLA_MTU, struct.pack("=I", mtu))


def _family(value: IPv4Address | IPv6Address) -> int:
    return socket.AF_INET if value.version == 4 else socket.AF_INET6
