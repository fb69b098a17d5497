"""Recognises STUN and TURN (RFC 8489, RFC 8656; RFC 3489 on its own ports)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance
from shutdownlab.inspection.recognisers.turn import COOKIE, recognise_turn

PORTS = frozenset((3478, 3479, 19302, 19305))
_METHODS = {
    1: "binding",
    3: "allocate",
    4: "refresh",
    6: "send",
    7: "data",
    8: "create-permission",
    9: "channel-bind",
    10: "connect",
    11: "connection-bind",
    12: "connection-attempt",
}
_SOFTWARE = 0x8022
_CONNECTION_BIND = b"\x00\x0b"
"""The type of the request that makes a connection to a TURN server one to a peer."""
_WHATSAPP = frozenset(range(0x4000, 0x4008))
"""Attributes that only WhatsApp calls have; below, one of their methods. Source: nDPI."""
_WHATSAPP_METHOD = 512
_WHATSAPP_FIRST = (8, 9)
"""The first octet of that method's requests and responses."""


def recognise_stun(payload: bytes, dport: int) -> Recognition | None:
    """Recognises a complete message; over TCP, the first of the stream.

    `more` is set unless it is WhatsApp's, because media often follow on the same flow.
    """
    length = len(payload)
    if length < 20 or (payload[0] >= 4 and payload[0] not in _WHATSAPP_FIRST):
        return None
    size = (payload[2] << 8) | payload[3]
    if size % 4 or 20 + size > length:
        return None
    kind = (payload[0] << 8) | payload[1]
    method = (kind & 0x000F) | ((kind & 0x00E0) >> 1) | ((kind & 0x3E00) >> 2)
    own = method == _WHATSAPP_METHOD
    if payload[4:8] != COOKIE and (dport not in PORTS or 20 + size != length or not (own or method == 1)):
        return None
    result = Recognition("stun", None, True)
    result.method = _METHODS.get(method, str(method))
    _read_attributes(result, payload, 20 + size)
    if own or result.protocol != "stun":
        result.protocol, result.more = "whatsapp-call", False
    return result


def _read_attributes(result: Recognition, payload: bytes, end: int) -> None:
    index = 20
    while index + 4 <= end:
        kind = (payload[index] << 8) | payload[index + 1]
        size = (payload[index + 2] << 8) | payload[index + 3]
        if kind == _SOFTWARE:
            text = payload[index + 4 : min(end, index + 4 + size)]
            result.user_agent = text.decode("utf-8", "replace").rstrip("\0")
        elif kind in _WHATSAPP:
            result.protocol = "whatsapp-call"
        index += 4 + (size + 3) // 4 * 4


class StunOverTcp(TcpRecogniser):
    """Recognises plain STUN messages (RFC 8489 §6.2.2), or length-prefixed ones as in ICE (RFC 4571, RFC 6544)."""

    protocols = ("stun", "whatsapp-call")
    order = 110
    first = frozenset(range(10))

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        found = recognise_stun(client, dport)
        if found is None and len(client) >= 22:
            size = (client[0] << 8) | client[1]
            if client[6:10] == COOKIE and size == 20 + ((client[4] << 8) | client[5]):
                found = recognise_stun(client[2 : 2 + size], dport)
                if found is None and len(client) < 2 + size:
                    return Recognition(more=True)
        if found is not None:
            found.more = False
            if tolerance.proxies:
                _pass_over(found, client)
        return found


def _pass_over(found: Recognition, client: bytes) -> None:
    """Makes a connection's messages up to its ConnectionBind the preamble of what the peer's connection carries.

    After a TURN server has answered it, the connection is the peer's (RFC 6062 §4.4).
    """
    at = 0
    while at + 20 <= len(client) and client[at + 4 : at + 8] == COOKIE and client[at] < 4:
        bound = client[at : at + 2] == _CONNECTION_BIND
        at += 20 + ((client[at + 2] << 8) | client[at + 3])
        if bound and at <= len(client):
            found.length, found.preamble = at, True
            return
    found.more = at >= len(client)


class Stun(UdpRecogniser):
    """Recognises STUN at once but with `more`, because media (RTP, DTLS) often follow on the same flow."""

    protocols = ("stun", "whatsapp-call")
    order = 40
    first = frozenset((0, 1, 2, 3, *_WHATSAPP_FIRST))

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        found = recognise_stun(payload, dport)
        turn = recognise_turn(payload, from_client, session) if found is not None and found.more else None
        return turn or found
