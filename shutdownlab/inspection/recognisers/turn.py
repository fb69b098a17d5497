"""Recognises what a TURN server relays over UDP: ChannelData messages, Send and Data indications (RFC 8656 §11, §12).

Each peer, and each channel, has datagrams of its own, recognised as those of a flow are.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.recogniser import UdpSession
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition

COOKIE: Final = b"\x21\x12\xa4\x42"
DEPTH: Final = 4
"""How many nested relays are parsed."""
_ALLOCATION: Final = frozenset((0x0003, 0x0004, 0x0006, 0x0007, 0x0008, 0x0009))
"""The methods that only a TURN server's clients use: allocate, refresh, send, data, create-permission, channel-bind."""
_INDICATIONS: Final = (b"\x00\x16", b"\x00\x17")
"""The types of Send and Data indications."""
_PEER: Final = 0x0012
_DATA: Final = 0x0013
_MOST: Final = 64
"""The most peers and channels tracked per flow; beyond, the oldest is dropped."""
_NONE: Final = (b"", -1, 0)


def is_channel_data(payload: bytes) -> bool:
    """Returns whether a datagram is a ChannelData message: a channel's number, and the length of what follows.

    It may be padded to four bytes.
    """
    return len(payload) >= 4 and 0x40 <= payload[0] <= 0x4F and 0 <= len(payload) - 4 - _length(payload, 2) <= 3


def relayed(payload: bytes) -> tuple[bytes, int, int]:
    """Finds the datagram in a message of TURN: returns whom it is for or from (the peer's address as it is encoded, or
    the channel's number), and where it begins and ends. The beginning is below 0 if there is none."""
    if is_channel_data(payload):
        return payload[:2], 4, 4 + _length(payload, 2)
    if payload[:2] not in _INDICATIONS or payload[4:8] != COOKIE:
        return _NONE
    end = min(len(payload), 20 + _length(payload, 2))
    peer, start, stop = _NONE
    at = 20
    while at + 4 <= end:
        kind, size = _length(payload, at), _length(payload, at + 2)
        if kind == _PEER:
            peer = payload[at + 4 : at + 4 + size]
        elif kind == _DATA and at + 4 + size <= end:
            start, stop = at + 4, at + 4 + size
        at += 4 + (size + 3) // 4 * 4
    return (peer, start, stop) if peer else _NONE


def _length(data: bytes, at: int) -> int:
    return (data[at] << 8) | data[at + 1]


class TurnRelay:
    """The state of one flow to a TURN server: a nested session per peer and channel."""

    def __init__(self, session: UdpSession) -> None:
        self._session = session
        self._sessions: dict[bytes, UdpSession] = {}

    def feed(self, payload: bytes, from_client: bool) -> Recognition:
        """Recognises a datagram: what is relayed in it, with the message itself in `others`, or the message alone."""
        result = Recognition("stun", None, True)
        result.variant = "turn"
        peer, start, stop = relayed(payload)
        if start < 0:
            return result
        result.header = start
        session = self._sessions.get(peer)
        if session is None:
            if len(self._sessions) >= _MOST:
                del self._sessions[next(iter(self._sessions))]
            session = self._sessions[peer] = self._session.inner()
        # The encoded address begins with a zero byte and the family; then the port, combined with the cookie.
        port = (_length(peer, 2) ^ 0x2112) if len(peer) >= 8 else 0
        inner = session.feed(payload[start:stop], from_client, port)
        if inner.protocol in (UNKNOWN, "stun"):
            return result
        inner.variant = inner.variant or "in turn"
        inner.header = start
        inner.others = (result,)
        return inner


def recognise_turn(payload: bytes, from_client: bool, session: UdpSession) -> Recognition | None:
    """Recognises a message of a TURN client or server, after which all datagrams of the flow are read as such.

    Returns None if it is none, or where the box does not read what a proxy relays. ChannelData is only believed after
    another message, as few of its bits are fixed.
    """
    if not session.tolerance.proxies or session.depth >= DEPTH or payload[4:8] != COOKIE:
        return None
    kind = _length(payload, 0)
    if (kind & 0x000F) | ((kind & 0x00E0) >> 1) | ((kind & 0x3E00) >> 2) not in _ALLOCATION:
        return None
    return session.follow(TurnRelay(session), payload, from_client)
