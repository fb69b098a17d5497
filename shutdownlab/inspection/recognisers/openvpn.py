"""Recognises OpenVPN over UDP and TCP by its reset packets: plain, tls-auth, tls-crypt and tls-crypt-v2.

Layouts: OpenVPN's doxygen "Network protocol" and draft-openvpn-wire-protocol. A reset's opcode alone is weak evidence,
so the packet counter, the time and the acknowledgement list after it must be plausible too.
"""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser, UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

PORT = 1194
_CLIENT_RESETS = (0x08, 0x38, 0x50)  # P_CONTROL_HARD_RESET_CLIENT_V1, V2, V3, key id 0
_SERVER_RESETS = (0x10, 0x40)  # P_CONTROL_HARD_RESET_SERVER_V1, V2
_HMACS = {16: "MD5", 20: "SHA1", 28: "SHA224", 32: "SHA256", 48: "SHA384", 64: "SHA512"}
_MIN_TIME = 0x3B9ACA00  # 2001-09-09: replay protection sends the clock in seconds
_MAX_WKC = 1100


def openvpn_reset(packet: bytes, client: bool) -> str | None:
    """Returns a reset packet's protection: "plain", "tls-auth", "tls-crypt" or "tls-crypt-v2"; None if it is none."""
    length = len(packet)
    if length < 14 or packet[0] not in (_CLIENT_RESETS if client else _SERVER_RESETS) or not any(packet[1:9]):
        return None
    if packet[0] == 0x50:
        return "tls-crypt-v2" if 54 < length <= 54 + _MAX_WKC and _counted(packet, 9) else None
    if _ends_in_reset(packet, 9, client):
        return "plain"
    for size in _HMACS:
        if length >= 9 + size + 13 and _counted(packet, 9 + size) and _ends_in_reset(packet, 17 + size, client):
            return "tls-auth"
    # tls-crypt: counter and time in clear, a 32-byte tag, then the encrypted acknowledgements and packet id.
    plain = 5 if client else 17
    if length in (49 + plain, 49 + 5) or (not client and 49 + 5 <= length <= 49 + 17 + 64):
        return "tls-crypt" if _counted(packet, 9) else None
    return None


def _counted(packet: bytes, index: int) -> bool:
    """Returns whether `index` has a small packet counter (or one of early negotiation, 0x0f0000xx), then a plausible
    time."""
    counter = int.from_bytes(packet[index : index + 4], "big")
    return (0 < counter < 1024 or counter >> 8 == 0x0F0000) and int.from_bytes(
        packet[index + 4 : index + 8], "big"
    ) >= _MIN_TIME


def _ends_in_reset(packet: bytes, index: int, client: bool) -> bool:
    """Returns whether the packet ends in an acknowledgement list and packet id 0.

    The list is empty from a client; from a server it may have up to 8 entries and then the peer's session id.
    """
    acknowledged = packet[index]
    if client and acknowledged:
        return False
    if acknowledged > 8:
        return False
    end = index + 1 + 4 * acknowledged + (8 if acknowledged else 0)
    return len(packet) == end + 4 and packet[end : end + 4] == b"\0\0\0\0"


def recognise_openvpn(payload: bytes, from_client: bool) -> Recognition | None:
    """Recognises a reset in a UDP datagram."""
    variant = openvpn_reset(payload, from_client)
    if variant is None:
        return None
    result = Recognition("openvpn")
    result.variant = variant
    return result


def recognise_openvpn_tcp(client: bytes, server: bytes) -> Recognition | None:
    """Recognises a reset at the start of a TCP stream, in which each packet has a 2-byte length before it."""
    for stream, opener in ((client, True), (server, False)):
        if len(stream) < 3:
            continue
        size = (stream[0] << 8) | stream[1]
        if not 14 <= size <= 54 + _MAX_WKC or stream[2] not in (_CLIENT_RESETS if opener else _SERVER_RESETS):
            continue
        if len(stream) < 2 + size:
            # tls-crypt-v2's reset may come in pieces; everything else is one small segment.
            return Recognition(more=True) if opener and not server else None
        return recognise_openvpn(stream[2 : 2 + size], opener)
    return None


class OpenVpnOverTcp(TcpRecogniser):
    protocols = ("openvpn",)
    order = 100

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_openvpn_tcp(client, server)


class OpenVpn(UdpRecogniser):
    protocols = ("openvpn",)
    order = 80

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_openvpn(payload, from_client)
