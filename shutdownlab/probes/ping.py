"""ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443) over raw sockets, which root of a network namespace may open."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from shutdownlab.model.scenario import Family
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession

_PAYLOAD: Final = bytes(range(48))
# (request, reply, unreachable) message types.
_TYPES: Final = {Family.IPV4: (8, 0, 3), Family.IPV6: (128, 129, 1)}
_PROTOCOL: Final = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
# Codes of "unreachable" that mean there is no route to the network; all others concern the host.
_NO_ROUTE: Final = {Family.IPV4: frozenset({0, 6, 9}), Family.IPV6: frozenset({0})}


async def ping(session: ProbeSession, address: str, source: str = "") -> float:
    """Echo a packet off `address`, sending again at half of the patience; returns the round trip in seconds.

    `source`: the own address to send from, where not the usual one. Raises `StepFailed`.
    """
    failure: str | None = None
    rtt = 0.0
    try:
        async with patience(session.patience):
            rtt = await _echo(session, address, source)
    except (OSError, StepFailed) as error:
        failure = failure_of(error)
    session.trace.extra["x_ping"] = {"address": address, "failure": failure, "rtt": rtt or None}
    if failure is not None:
        raise StepFailed(failure, "ping")
    return rtt


async def _echo(session: ProbeSession, address: str, source: str) -> float:
    loop, family = session.loop, session.family
    request, reply, unreachable = _TYPES[family]
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    ident = os.urandom(4)  # identifier and sequence number: what tells our echo from those of other probes
    with socket.socket(session.address_family, kind, _PROTOCOL[family]) as sock:
        if source:
            sock.bind((source, 0))
        # Not connected: the kernel would keep from us what routers on the way tell.
        message, to = _message(request, ident), (address, 0)
        sent = loop.time()
        sock.sendto(message, to)
        resend = loop.call_later(session.patience / 2, _send_again, sock, message, to)
        try:
            while True:
                data, (sender, *_) = await loop.sock_recvfrom(sock, 2048)
                packet = data[(data[0] & 0x0F) * 4 :] if family is Family.IPV4 else data
                if packet[0] == reply and packet[4:8] == ident and ip_address(sender) == ip_address(address):
                    return loop.time() - sent
                if packet[0] == unreachable and ident in packet[8:]:
                    raise StepFailed(_unreachable(family, packet[1]), "ping")
        finally:
            resend.cancel()


def _unreachable(family: Family, code: int) -> str:
    return "network_unreachable" if code in _NO_ROUTE[family] else "host_unreachable"


def _message(kind: int, ident: bytes) -> bytes:
    """The kernel fills in the checksum for ICMPv6 (RFC 3542); for ICMP it is ours to compute."""
    body = ident + _PAYLOAD
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + (kind << 8)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", kind, 0, 0xFFFF - total) + body


def _send_again(sock: socket.socket, message: bytes, to: tuple[str, int]) -> None:
    with suppress(OSError):  # the own machine cannot: silence will tell
        sock.sendto(message, to)
