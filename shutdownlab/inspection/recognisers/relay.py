"""Recognises datagrams to or from a SOCKS 5 relay (RFC 1928 §7), each with a header that names its target or source.

Few bytes of that header are fixed, so a single datagram counts as a relay's only if its header has a name or its
content is of a known protocol; otherwise a second one must have the same form. Fragments (FRAG) are joined in the order
in which they are numbered.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final, NamedTuple

from shutdownlab.inspection.recognisers.names import host_name
from shutdownlab.inspection.recognisers.recogniser import UdpSession
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition

DEPTH: Final = 4
"""How many nested relays are parsed."""
ENOUGH: Final = 2
"""Datagrams with such a header that prove a relay, whatever their content."""
_MOST: Final = 64
"""The most targets tracked per relay; beyond, the oldest is dropped."""
_NAMED: Final = 3
_LAST: Final = 0x80
"""The bit of FRAG that is set in the last fragment."""


class Header(NamedTuple):
    """The header of a relayed datagram. `named`: `host` is a name, not an address."""

    host: str | None
    port: int
    named: bool
    fragment: int
    """The fragment's number, from 1; 0: the datagram is whole."""
    last: bool
    """Whether it is the datagram's last fragment."""
    end: int
    """The offset at which the datagram itself begins."""


def header_of(payload: bytes, trailing_dot: bool = True) -> Header | None:
    """Parses a relayed datagram's header; returns None if there is none."""
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
        # No datagram has an unspecified or multicast address.
        if told[0] in (0, 0xFF) or (kind == 1 and told[0] >= 224):
            return None
    return Header(host, port, kind == _NAMED, payload[2] & 0x7F, payload[2] >= _LAST, end + 2) if port else None


class Relay:
    """The state of one relayed flow: a nested session per target of its datagrams."""

    def __init__(self, session: UdpSession) -> None:
        self._session = session
        self._sessions: dict[tuple[str | None, int], UdpSession] = {}
        self._fragments: list[bytes] = []
        self._seen = 0
        self.known = False
        """Whether the flow certainly is a relay's."""

    def feed(self, payload: bytes, from_client: bool) -> Recognition:
        """Recognises a relayed datagram: its content, with the header's request in `others`, or the request alone.

        Without `tolerance.proxies`, only the protocol "socks".
        """
        tolerance = self._session.tolerance
        header = header_of(payload, tolerance.trailing_dot)
        result = Recognition("socks")
        if header is None:
            return result
        self._seen += 1
        self.known = self.known or header.named or self._seen >= ENOUGH
        content = self._whole(payload, header)
        inner = self._inside(content, header, from_client) if content else None
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

    def _whole(self, payload: bytes, header: Header) -> bytes:
        """Returns the datagram's content, at its last fragment that of all; empty while some are missing."""
        content = payload[header.end :]
        if header.fragment == 0:
            return content
        if header.fragment == 1:
            self._fragments = []
        if header.fragment != len(self._fragments) + 1:
            self._fragments = []
            return b""
        self._fragments.append(content)
        return b"".join(self._fragments) if header.last else b""

    def _inside(self, content: bytes, header: Header, from_client: bool) -> Recognition:
        key = (header.host, header.port)
        session = self._sessions.get(key)
        if session is None and not from_client:
            # A target requested by name answers from its address.
            session = next((one for (_, port), one in self._sessions.items() if port == header.port), None)
        if session is None:
            if len(self._sessions) >= _MOST:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[key] = self._session.inner()
        return session.feed(content, from_client, header.port)


def recognise_relayed(payload: bytes, from_client: bool, session: UdpSession) -> Recognition | None:
    """Recognises a relayed datagram; returns None if it is not one, or not certainly one yet."""
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
