"""Tunnels that carry IP over IP or UDP: what they are called, and the packet inside.

GTP-U of mobile networks (3GPP TS 29.281 §5), VXLAN (RFC 7348 §5), Geneve (RFC 8926 §3), Teredo (RFC 4380 §5), GRE
(RFC 2784, RFC 2890; with PPP inside, RFC 2637 §4). IP directly in IP is undone where packets are decoded.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6, GRE, UDP
from shutdownlab.inspection.packet import Packet, decode_ethertype, decode_ip

GTP_USER: Final = 2152
GTP_CONTROL: Final = 2123
L2TP: Final = 1701
TEREDO: Final = 3544
VXLAN: Final = (4789, 8472)
GENEVE: Final = 6081
_ETHERNET: Final = 0x6558
"""Transparent Ethernet bridging, among EtherTypes."""
_PPP: Final = 0x880B
_NOTHING: Final = -1


def tunnel_name(payload: bytes, sport: int, dport: int) -> str | None:
    """What the tunnel is called whose datagram this is; None if it is of none."""
    length = len(payload)
    if GTP_USER in (sport, dport) and length >= 8 and payload[0] & 0xF0 == 0x30:
        return "gtp"
    if GTP_CONTROL in (sport, dport) and length >= 8 and payload[0] >> 5 in (1, 2):
        return "gtp"
    if dport in VXLAN and _behind_vxlan(payload, 0) > 0:
        return "vxlan"
    if (
        dport == GENEVE
        and length >= 8
        and payload[0] >> 6 == 0
        and payload[2:4] in (b"\x65\x58", b"\x08\0", b"\x86\xdd")
    ):
        return "geneve"
    if TEREDO in (sport, dport) and _behind_teredo(payload, 0) >= 0:
        return "teredo"
    if (
        L2TP in (sport, dport)
        and length >= 8
        and payload[1] & 0x0F in (2, 3)
        and payload[0] & 0x34 == payload[0] & 0x30
    ):
        return "l2tp"
    return None


def unwrapped(packet: Packet, depth: int) -> Packet:
    """The packet inside `depth` tunnels at most; the same one where it is of none, or what is inside is no IP."""
    while depth > 0:
        inner: Packet | None = None
        if packet.proto == UDP:
            inner = _inside_udp(packet)
        elif packet.proto == GRE:
            inner = _inside_gre(packet.frame, packet.l4, packet.captured_end)
        if inner is None or inner.problem is not None:
            break
        packet = inner
        depth -= 1
    return packet


def _inside_udp(packet: Packet) -> Packet | None:
    frame, at = packet.frame, packet.payload
    sport, dport = packet.sport, packet.dport
    if packet.captured_end - at < 16:
        return None
    if GTP_USER in (sport, dport):
        at = _behind_gtp(frame, at)
        return decode_ip(frame, at) if at > 0 else None
    if TEREDO in (sport, dport):
        at = _behind_teredo(frame, at)
        return decode_ip(frame, at) if at > 0 else None
    if dport in VXLAN:
        at = _behind_vxlan(frame, at)
        return _ethernet(frame, at) if at > 0 else None
    if dport == GENEVE and frame[at] >> 6 == 0:
        return _by_type(frame, at + 8 + 4 * (frame[at] & 0x3F), (frame[at + 2] << 8) | frame[at + 3])
    return None


def _behind_gtp(data: bytes, at: int) -> int:
    """Where a user's packet begins; below 0 if this is another message, or cut."""
    length = len(data)
    if length < at + 12 or data[at] & 0xF0 != 0x30 or data[at + 1] != 0xFF:
        return _NOTHING
    flags = data[at] & 7
    start = at + 8
    if flags:
        kind = data[start + 3]
        start += 4
        while flags & 4 and kind:  # extension headers, each of so many words, with the next one's kind at its end
            size = data[start] * 4 if start < length else 0
            if size == 0 or start + size > length:
                return _NOTHING
            kind = data[start + size - 1]
            start += size
    return start if start < length else _NOTHING


def _behind_vxlan(data: bytes, at: int) -> int:
    valid = (
        len(data) >= at + 8 + 14 and data[at] == 8 and data[at + 1] == data[at + 2] == data[at + 3] == data[at + 7] == 0
    )
    return at + 8 if valid else _NOTHING


def _behind_teredo(data: bytes, at: int) -> int:
    """Behind the indications of authentication and origin that may come first."""
    if data[at : at + 2] == b"\0\1" and len(data) >= at + 13:
        at += 13 + data[at + 2] + data[at + 3]
    if data[at : at + 2] == b"\0\0":
        at += 8
    return at if len(data) >= at + 40 and data[at] >> 4 == 6 else _NOTHING


def _inside_gre(frame: bytes, at: int, end: int) -> Packet | None:
    if end < at + 4 or frame[at + 1] & 7 > 1 or frame[at] & 0x40:
        return None
    flags = frame[at]
    start = at + 4 + (4 if flags & 0x80 else 0) + (4 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    kind = (frame[at + 2] << 8) | frame[at + 3]
    if kind == _PPP and frame[at + 1] & 7 == 1:
        start += 4 if frame[at + 1] & 0x80 else 0
        start += 2 if frame[start : start + 2] == b"\xff\x03" else 0
        if frame[start : start + 2] in (b"\0\x21", b"\0\x57"):
            return decode_ip(frame, start + 2)
        return decode_ip(frame, start + 1) if frame[start : start + 1] in (b"\x21", b"\x57") else None
    return _by_type(frame, start, kind)


def _by_type(frame: bytes, at: int, kind: int) -> Packet | None:
    if kind == _ETHERNET:
        return _ethernet(frame, at)
    return decode_ip(frame, at) if kind in (ETHER_IPV4, ETHER_IPV6) else None


def _ethernet(frame: bytes, at: int) -> Packet | None:
    if len(frame) < at + 14:
        return None
    return decode_ethertype(frame, at + 14, (frame[at + 12] << 8) | frame[at + 13])
