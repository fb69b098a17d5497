"""STUN and TURN (RFC 8489, RFC 8656; RFC 3489 on its own ports)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

COOKIE = b"\x21\x12\xa4\x42"
PORTS = frozenset((3478, 3479, 19302, 19305))
_METHODS = {1: "binding", 3: "allocate", 4: "refresh", 6: "send", 7: "data", 8: "create-permission", 9: "channel-bind"}
_SOFTWARE = 0x8022


def recognise_stun(payload: bytes, dport: int) -> Recognition | None:
    """A whole message; over TCP the first of the stream (its length must still fit)."""
    length = len(payload)
    if length < 20 or payload[0] >= 4:
        return None
    size = (payload[2] << 8) | payload[3]
    if size % 4 or 20 + size > length:
        return None
    kind = (payload[0] << 8) | payload[1]
    method = (kind & 0x000F) | ((kind & 0x00E0) >> 1) | ((kind & 0x3E00) >> 2)
    if payload[4:8] != COOKIE and (dport not in PORTS or 20 + size != length or method != 1):
        return None
    result = Recognition("stun")
    result.method = _METHODS.get(method, str(method))
    result.user_agent = _software(payload, 20 + size)
    return result


def _software(payload: bytes, end: int) -> str | None:
    index = 20
    while index + 4 <= end:
        size = (payload[index + 2] << 8) | payload[index + 3]
        if (payload[index] << 8) | payload[index + 1] == _SOFTWARE:
            return payload[index + 4 : min(end, index + 4 + size)].decode("utf-8", "replace").rstrip("\0")
        index += 4 + (size + 3) // 4 * 4
    return None


class StunOverTcp(TcpRecogniser):
    protocols = ("stun",)
    order = 110
    first = frozenset(range(4))

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_stun(client, dport)


class Stun(UdpRecogniser):
    """Reported at once but with `more`, because media (RTP, DTLS) often follow on the same flow."""

    protocols = ("stun",)
    order = 40
    first = frozenset(range(4))

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        found = recognise_stun(payload, dport)
        if found is not None:
            found.more = True
        return found
