"""ICMP echo (RFC 792) and ICMPv6 echo (RFC 4443) over raw sockets, which root of a network namespace may open."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from ipaddress import ip_address
from typing import Final

from shutdownlab.model.scenario import Family
from shutdownlab.probes.failure import StepFailed, failure_of, is_own
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession

_PAYLOAD: Final = bytes(range(48))
_APART_S: Final = 0.02
"""Interval between the echo requests of one probe."""
# (request, reply, unreachable) message types.
_TYPES: Final = {Family.IPV4: (8, 0, 3), Family.IPV6: (128, 129, 1)}
_PROTOCOL: Final = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
_HEADERS: Final = {Family.IPV4: 20 + 8, Family.IPV6: 40 + 8}
_TOO_BIG: Final = {Family.IPV4: 4}
"""The code of "unreachable" that tells the kernel a smaller MTU (RFC 1191); IPv6 has a message type for that."""
# Codes of "unreachable" for a missing route to the network; all others concern the host.
_NO_ROUTE: Final = {Family.IPV4: frozenset({0, 6, 9}), Family.IPV6: frozenset({0})}


async def ping(
    session: ProbeSession, address: str, source: str = "", *, count: int = 1, needed: int = 1, size: int = 0
) -> float:
    """Sends echo requests to `address`; returns the longest round trip in seconds of the replies.

    Returns once all are sent and `needed` replies have come. A single request is repeated after half the timeout; of
    several, lost ones are not repeated. `source`: the source address, if not the usual one. `size`: minimum bytes of a
    packet; it is fragmented if a link on the way takes less, once the kernel knows. Raises `StepFailed`.
    """
    failure: str | None = None
    rtts: list[float] = []
    try:
        async with patience(session.patience):
            await _echo(session, address, source, count, needed, rtts, size)
    except (OSError, StepFailed) as error:
        failure = failure_of(error)
    found = {"address": address, "failure": failure, "rtt": max(rtts, default=None)}
    session.trace.extra["x_ping"] = found | ({"sent": count, "answered": len(rtts)} if count > 1 else {})
    if failure is not None:
        raise StepFailed(failure, "ping")
    return max(rtts)


async def _echo(
    session: ProbeSession, address: str, source: str, count: int, needed: int, rtts: list[float], size: int
) -> None:
    """Appends the round trip of each reply to `rtts`."""
    loop, family = session.loop, session.family
    _, reply, unreachable = _TYPES[family]
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
    with socket.socket(session.address_family, kind, _PROTOCOL[family]) as sock:
        if source:
            sock.bind((source, 0))
        # Not connected: the kernel would hide errors from routers on the way.
        echoes = _Echoes(loop, sock, family, (address, 0), count, size)
        later = [loop.call_later(_APART_S * place, echoes.send_later, place) for place in range(1, count)]
        if count == 1:
            later.append(loop.call_later(session.patience / 2, echoes.send_later, 0))
        try:
            echoes.send(0)
            while len(rtts) < needed or len(echoes.sent) < count:
                data, (sender, *_) = await loop.sock_recvfrom(sock, 2048)
                packet = data[(data[0] & 0x0F) * 4 :] if family is Family.IPV4 else data
                if packet[0] == reply and ip_address(sender) == ip_address(address):
                    if (sent := echoes.came_back(packet[4:8])) is not None:
                        rtts.append(loop.time() - sent)
                elif (
                    packet[0] == unreachable
                    and packet[1] != _TOO_BIG.get(family)
                    and _is_about_echo(family, packet[8:])
                    and any(ident in packet[8:] for ident in echoes.sent)
                ):
                    raise StepFailed(_unreachable(family, packet[1]), "ping")
        except asyncio.CancelledError:
            if echoes.unsent is not None:  # what was never sent has no reply
                raise echoes.unsent from None
            raise
        finally:
            for call in later:
                call.cancel()


class _Echoes:
    """The echo requests of one probe.

    `sent`: when each was sent, by its identifier and sequence number. `unsent`: why this machine sent one not at all.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        family: Family,
        to: tuple[str, int],
        count: int,
        size: int,
    ) -> None:
        self.sent: dict[bytes, float] = {}
        self.unsent: OSError | None = None
        self._loop, self._sock, self._request, self._to = loop, sock, _TYPES[family][0], to
        # Distinguishes our echoes from those of other probes.
        first = int.from_bytes(os.urandom(4))
        self._idents = [((first + place) % 2**32).to_bytes(4) for place in range(count)]
        self._missing = set(self._idents)
        # an even length, for the checksum
        self._payload = _PAYLOAD + bytes(max(0, size - _HEADERS[family] - len(_PAYLOAD)) & ~1)

    def send(self, place: int) -> None:
        """Sends one of them; raises `OSError` if this machine cannot."""
        ident = self._idents[place]
        self.sent.setdefault(ident, self._loop.time())
        self._sock.sendto(_message(self._request, ident, self._payload), self._to)

    def send_later(self, place: int) -> None:
        """Like `send`, but notes an `OSError` of this machine's own; of others the missing reply tells."""
        try:
            self.send(place)
        except OSError as error:
            self.unsent = error if is_own(failure_of(error)) else self.unsent

    def came_back(self, ident: bytes) -> float | None:
        """Returns when a request was sent whose first reply has come; None if it is not ours or was answered before."""
        if ident not in self._missing:
            return None
        self._missing.remove(ident)
        return self.sent.get(ident)


def _is_about_echo(family: Family, quoted: bytes) -> bool:
    """Whether an error concerns an echo itself, not a tunnel packet that contains one.

    Errors of tunnel packets are for the tunnel's ends.
    """
    return family is Family.IPV6 or quoted[9:10] == bytes([socket.IPPROTO_ICMP])


def _unreachable(family: Family, code: int) -> str:
    return "network_unreachable" if code in _NO_ROUTE[family] else "host_unreachable"


def _message(kind: int, ident: bytes, payload: bytes) -> bytes:
    """Returns an echo message with its checksum: the kernel computes it for ICMPv6 only (RFC 3542)."""
    body = ident + payload
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + (kind << 8)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", kind, 0, 0xFFFF - total) + body
