"""Datagrams on their way through a SOCKS 5 relay (RFC 1928 §7): each says where it goes to, or where it comes from.

Few bytes of that header are fixed, so one datagram alone is a relay's where it has a name, or where what is behind it
is known; else a second one must be of the same form. Pieces of a datagram (FRAG) are not put together, as hardly any
relay does.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final, NamedTuple

from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.recogniser import UdpSession
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition

DEPTH: Final = 4
"""Relays within one another that are looked into."""
ENOUGH: Final = 2
"""Datagrams of its form by which a relay is known, whatever is behind their headers."""
_MOST: Final = 64
"""Ends whose datagrams are told apart; the oldest gives way."""
_NAMED: Final = 3


class Header(NamedTuple):
    """What comes before a datagram."""

    host: str | None
    port: int
    named: bool
    whole: bool
    """It is no piece of a datagram."""
    end: int
    """Where the datagram itself begins."""


def header_of(payload: bytes, trailing_dot: bool = True) -> Header | None:
    """The header that a datagram begins with; None if it has none."""
    length = len(payload)
    if length < 10 or payload[0] or payload[1]:
        return None
    kind = payload[3]
    start = 5 if kind == _NAMED else 4
    end = start + (payload[4] if kind == _NAMED else 4 if kind == 1 else 16)
    if kind not in (1, _NAMED, 4) or length <= end + 2:
        return None
    port = (payload[end] << 8) | payload[end + 1]
    told = payload[start:end]
    if kind == _NAMED:
        host = host_name(told, trailing_dot) if told.isascii() else None
        if host is None or "\\" in host or "." not in host:
            return None
    else:
        host = inet_ntop(AF_INET if kind == 1 else AF_INET6, told)
        # No datagram comes from or goes to what is none, or a group.
        if told[0] in (0, 0xFF) or (kind == 1 and told[0] >= 224):
            return None
    return Header(host, port, kind == _NAMED, payload[2] == 0, end + 2) if port else None


class Relay:
    """What is known of one flow of a relay's: a session for each of the ends that its datagrams are for."""

    def __init__(self, session: UdpSession) -> None:
        self._session = session
        self._sessions: dict[tuple[str | None, int], UdpSession] = {}
        self._seen = 0
        self.known = False
        """Whether it is a relay's for sure."""

    def feed(self, payload: bytes, from_client: bool) -> Recognition:
        """What is behind a datagram's header where the box reads that, with what the header asks for beside it."""
        tolerance = self._session.tolerance
        header = header_of(payload, tolerance.trailing_dot)
        result = Recognition("socks")
        if header is None:
            return result
        self._seen += 1
        self.known = self.known or header.named or self._seen >= ENOUGH
        inner = self._inside(payload, header, from_client) if header.whole else None
        self.known = self.known or (inner is not None and inner.protocol != UNKNOWN)
        if not tolerance.proxies:
            return result
        result.host = header.host
        result.method = "UDP"
        result.header = header.end
        if inner is None or inner.protocol == UNKNOWN:
            return result
        inner.variant = inner.variant or "in socks"
        inner.header = header.end
        inner.others = (result,)
        return inner

    def _inside(self, payload: bytes, header: Header, from_client: bool) -> Recognition:
        key = (header.host, header.port)
        session = self._sessions.get(key)
        if session is None and not from_client:
            # Who was asked by name answers by address.
            session = next((one for (_, port), one in self._sessions.items() if port == header.port), None)
        if session is None:
            if len(self._sessions) >= _MOST:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[key] = self._session.inner()
        return session.feed(payload[header.end :], from_client, header.port)


def recognise_relayed(payload: bytes, from_client: bool, session: UdpSession) -> Recognition | None:
    """A datagram in a relay's form; None if it is of another, or not yet known for one."""
    if session.depth >= DEPTH or header_of(payload) is None:
        session.memory.pop(Relay, None)
        return None
    relay = session.memory.get(Relay)
    if not isinstance(relay, Relay):
        relay = session.memory[Relay] = Relay(session)
    found = relay.feed(payload, from_client)
    if not relay.known:
        return None
    session.go_on(relay)
    return found
