"""Tunnels that carry IP over IP or UDP: recognises them, and decodes the packet inside.

GTP-U of mobile networks (3GPP TS 29.281 §5; version 0, GSM 09.60 §10), VXLAN (RFC 7348 §5; its drafts on group policies
and GPE), Geneve (RFC 8926 §3), Teredo (RFC 4380 §5), L2TP (RFC 2661 §3.1, RFC 3931 §4.1), GRE (RFC 2784, RFC 2890; with
PPP inside, RFC 2637 §4; over UDP, RFC 8086; with mirrored frames, draft-foschiano-erspan-03; redirected by WCCP,
draft-mclaggan-wccp-v2rev1-00 §4; MikroTik's EoIP, for which there is no document), GUE (draft-ietf-intarea-gue-09),
LISP (RFC 9300 §5; with any protocol, RFC 9305), MPLS (RFC 4023, RFC 7510), EtherIP (RFC 3378), Ethernet behind segment
routing (RFC 8986 §9), CAPWAP (RFC 5415, RFC 5416), TZSP of mirroring routers. IPsec (RFC 7296 §3.1, RFC 3948) is only
recognised, unless its ESP does not encrypt (RFC 2410). IP directly in IP is decapsulated in `packet`.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import (
    ESP,
    ETHER_IN_IP,
    ETHER_IN_IPV6,
    ETHER_IPV4,
    ETHER_MPLS,
    GRE,
    IP_IN_IP,
    IPV6_IN_IP,
    L2TP_IN_IP,
    MPLS_IN_IP,
    TCP,
    UDP,
)
from shutdownlab.inspection.checksum import header_checksum_good, ones_sum
from shutdownlab.inspection.links import decode_wifi
from shutdownlab.inspection.packet import ETHERNET, NEXT, Packet, decode_ethertype, decode_ip, decode_ppp

GTP_USER: Final = 2152
GTP_CONTROL: Final = 2123
L2TP: Final = 1701
TEREDO: Final = 3544
VXLAN: Final = (4789, 8472)
_VXLAN_FLAGS: Final = b"\x08\0\0\0"
VXLAN_GPE: Final = 4790
GENEVE: Final = 6081
CAPWAP: Final = 5247
CAPWAP_CONTROL: Final = 5246
GTP_ZERO: Final = 3386
"""The port of GTP's version 0, control messages and users' packets alike (GSM 09.60 §11)."""
GUE: Final = 6080
GRE_IN_UDP: Final = 4754
MPLS_IN_UDP: Final = 6635
LISP: Final = 4341
TZSP: Final = 37008
IKE: Final = 500
IKE_TRAVERSAL: Final = 4500
"""IPsec's port for NAT traversal: IKE behind four zero bytes, or ESP (RFC 3948)."""
_WIFI: Final = 1
"""CAPWAP's number for IEEE 802.11 (RFC 5415 §4.3)."""
_PPP: Final = 0x880B
_ERSPAN: Final = (0x88BE, 0x22EB)
_WCCP: Final = 0x883E
_EOIP: Final = 0x6400
_CHECKS: Final = (12, 16, 8, 24, 32, 0)
"""Possible lengths in bytes of the integrity check at the end of ESP, the commonest first (RFC 5879 §8.1)."""
_COOKIES: Final = (0, 4, 8, 12)
"""Possible lengths in bytes of L2TPv3's cookie before the frame, which the packet does not tell (RFC 3931 §4.1)."""
_IKE_EXCHANGES: Final = frozenset({*range(2, 6), 32, 33, *range(34, 45)})
_AFTER_IPV6: Final = frozenset((0, TCP, UDP, 43, 44, 58, 60))
"""The next headers of ordinary IPv6 packets: transports, ICMPv6, options, routing, fragments."""
_MOST_PADDING: Final = 18
"""Bytes by which Ethernet pads the shortest packets."""
_NOTHING: Final = -1


def tunnel_name(payload: bytes, sport: int, dport: int) -> str | None:
    """Returns the name of the tunnel protocol that this UDP payload belongs to, or None."""
    length = len(payload)
    if GTP_USER in (sport, dport) and length >= 8 and payload[0] & 0xF0 == 0x30:
        return "gtp"
    if GTP_CONTROL in (sport, dport) and length >= 8 and payload[0] >> 5 in (1, 2):
        return "gtp"
    if GTP_ZERO in (sport, dport) and length >= 20 and payload[0] & 0xFE == 0x1E and _fills(payload, 2, 20):
        return "gtp"
    if CAPWAP in (sport, dport) or CAPWAP_CONTROL in (sport, dport):
        return "capwap" if _is_capwap(payload) else None
    if TEREDO in (sport, dport) and _behind_teredo(payload, 0) >= 0:
        return "teredo"
    if (
        L2TP in (sport, dport)
        and length >= 8
        and payload[1] & 0x0F in (2, 3)
        and payload[0] & 0x34 == payload[0] & 0x30
    ):
        return "l2tp"
    if (IKE in (sport, dport) and _is_ike(payload, 0)) or (
        IKE_TRAVERSAL in (sport, dport) and payload[:4] == bytes(4) and _is_ike(payload, 4)
    ):
        return "ike"
    if (dport in VXLAN and _behind_vxlan(payload, 0) > 0) or (dport == VXLAN_GPE and _after_gpe(payload, 0) > 0):
        return "vxlan"
    if (
        dport == GENEVE
        and length >= 8
        and payload[0] >> 6 == 0
        and payload[2:4] in (b"\x65\x58", b"\x08\0", b"\x86\xdd")
    ):
        return "geneve"
    name = _NAMES.get(dport)
    if name is not None and _inside_udp(payload, 0, length, sport, dport) is not None:
        return name
    if length >= 50 and payload[:4] == _VXLAN_FLAGS and _inside_udp(payload, 0, length, sport, dport) is not None:
        return "vxlan"
    return "fou" if length >= 28 and _is_bare(payload, 0, length) else None


_NAMES: Final = {
    GUE: "gue",
    GRE_IN_UDP: "gre",
    MPLS_IN_UDP: "mpls",
    LISP: "lisp",
    TZSP: "tzsp",
}
"""By destination port: the tunnels that are recognised only by a sound packet inside."""


def _fills(data: bytes, at: int, header: int) -> bool:
    """Returns whether the length at `at` is that of all bytes after a header of this size."""
    return ((data[at] << 8) | data[at + 1]) == len(data) - header


def _is_capwap(data: bytes) -> bool:
    """Returns whether a CAPWAP header begins here: in the clear, with its length, or before DTLS (RFC 5415 §4.3)."""
    if len(data) < 16 or data[0] not in (0, 1):
        return False
    if data[0] == 1:
        return data[1:4] == bytes(3) and 20 <= data[4] <= 25 and data[5] == 0xFE
    size = data[1] >> 3 << 2
    return 8 <= size < len(data) and data[3] & 7 == 0 and (data[2] >> 1 & 0x1F) in (0, _WIFI, 3) and data[7] & 7 == 0


def _is_ike(data: bytes, at: int) -> bool:
    """Returns whether an IKE header is at `at` whose length fills the datagram."""
    return (
        len(data) >= at + 28
        and data[at : at + 8] != bytes(8)
        and data[at + 17] in (0x10, 0x20)
        and data[at + 18] in _IKE_EXCHANGES
        and int.from_bytes(data[at + 24 : at + 28], "big") == len(data) - at
    )


def unwrapped(packet: Packet, depth: int) -> Packet:
    """Decapsulates `packet` from up to `depth` tunnels; stops where there is no tunnel, or no IP in it."""
    while depth > 0:
        inner: Packet | None = None
        proto = packet.proto
        frame, at, end = packet.frame, packet.l4, packet.captured_end
        if proto == UDP:
            inner = _inside_udp(frame, packet.payload, end, packet.sport, packet.dport)
        elif proto == GRE:
            inner = _inside_gre(frame, at, end)
        elif proto in (IP_IN_IP, IPV6_IN_IP):  # deeper than `decode_ip` follows for every box
            inner = decode_ip(frame, at)
        elif proto == MPLS_IN_IP:
            inner = decode_ethertype(frame, at, ETHER_MPLS)
        elif proto == ESP:
            inner = _inside_esp(frame, at, end)
        elif proto == ETHER_IN_IPV6:
            inner = _ethernet(frame, at)
        elif proto == ETHER_IN_IP:
            inner = _ethernet(frame, at + 2) if frame[at : at + 1] == b"\x30" else None
        elif proto == L2TP_IN_IP:
            inner = _inside_l2tp_session(frame, at) if frame[at : at + 4] != bytes(4) else None
        if inner is None or inner.problem is not None:
            break
        packet = inner
        depth -= 1
    return packet


def _inside_udp(frame: bytes, at: int, end: int, sport: int, dport: int) -> Packet | None:
    if end - at < 16:
        return None
    if GTP_USER in (sport, dport):
        at = _behind_gtp(frame, at)
        if at < 0:
            return None
        inner = decode_ip(frame, at)  # or a frame, in 5G's sessions of Ethernet (3GPP TS 23.501 §5.6.10.2)
        return inner if _sound(inner) is not None else _sound(_ethernet(frame, at)) or inner
    if TEREDO in (sport, dport):
        at = _behind_teredo(frame, at)
        return decode_ip(frame, at) if at > 0 else None
    if L2TP in (sport, dport):
        return _inside_l2tp(frame, at)
    if CAPWAP in (sport, dport):
        return _sound(_inside_capwap(frame, at))
    if IKE_TRAVERSAL in (sport, dport):
        return _inside_esp(frame, at, end)
    if GTP_ZERO in (sport, dport) and frame[at] >> 4 == 1 and frame[at + 1] == 0xFF:
        return _sound(decode_ip(frame, at + 20))
    if dport in VXLAN:
        at = _behind_vxlan(frame, at)
        return _ethernet(frame, at) if at > 0 else None
    if dport == VXLAN_GPE:
        return decode_ethertype(frame, at + 8, _after_gpe(frame, at))
    if dport == GENEVE and frame[at] >> 6 == 0:
        return decode_ethertype(frame, at + 8 + 4 * (frame[at] & 0x3F), (frame[at + 2] << 8) | frame[at + 3])
    if dport == GUE:
        return _sound(_inside_gue(frame, at))
    if dport == GRE_IN_UDP:
        return _sound(_inside_gre(frame, at, end))
    if dport == MPLS_IN_UDP:
        return _sound(decode_ethertype(frame, at, ETHER_MPLS))
    if dport == LISP:
        kind = NEXT.get(frame[at + 3], _NOTHING) if frame[at] & 4 else ETHER_IPV4
        return _sound(decode_ip(frame, at + 8) if kind == ETHER_IPV4 else decode_ethertype(frame, at + 8, kind))
    if dport == TZSP and frame[at : at + 4] == b"\1\0\0\1":
        return _sound(_ethernet(frame, _behind_tags(frame, at + 4)))
    if frame[at : at + 4] == _VXLAN_FLAGS and not frame[at + 7]:
        return _filling(_ethernet(frame, at + 8), end)
    return _sound(decode_ip(frame, at)) if _is_bare(frame, at, end) else None


def _filling(inner: Packet, end: int) -> Packet | None:
    """Returns `inner` if it is a sound packet that ends here, but for an Ethernet frame's padding: a tunnel on a port
    that is not its own."""
    sound = _sound(inner)
    fills = sound is not None and 0 <= end - sound.end <= _MOST_PADDING
    return sound if sound is not None and fills and header_checksum_good(sound) else None


def _is_bare(frame: bytes, at: int, end: int) -> bool:
    """Returns whether an IP packet without any header of a tunnel fills these bytes, as Linux's FOU sends it on any
    port."""
    first = frame[at]
    if first == 0x45:
        fills = end == at + ((frame[at + 2] << 8) | frame[at + 3])
        return fills and end - at >= 28 and ones_sum(frame[at : at + 20]) == 0xFFFF
    if first >> 4 == 6 and end - at >= 48 and frame[at + 6] in _AFTER_IPV6:
        return end == at + 40 + ((frame[at + 4] << 8) | frame[at + 5])
    return False


def _sound(inner: Packet | None) -> Packet | None:
    """Returns `inner` if it could be decoded and is complete, else None: a port alone does not prove a tunnel."""
    if inner is None or inner.problem is not None or inner.end > inner.captured_end:
        return None
    return inner


def _inside_esp(frame: bytes, at: int, end: int) -> Packet | None:
    """Decodes the IP packet in an ESP packet that is only authenticated (RFC 2410): one whose padding and next header
    stand behind it (RFC 5879)."""
    inner = _sound(decode_ip(frame, at + 8)) if at + 28 <= end and frame[at + 8] >> 4 in (4, 6) else None
    if inner is None:
        return None
    proto = IP_IN_IP if frame[at + 8] >> 4 == 4 else IPV6_IN_IP
    begin = _ip_end(frame, at + 8)
    for check in _CHECKS:
        last = end - check - 1
        if last > begin and frame[last] == proto and frame[last - 1] == last - 1 - begin:
            return inner
    return None


def _ip_end(frame: bytes, at: int) -> int:
    """Returns the offset at which the complete IP packet at `at` ends."""
    if frame[at] >> 4 == 4:
        return at + ((frame[at + 2] << 8) | frame[at + 3])
    return at + 40 + ((frame[at + 4] << 8) | frame[at + 5])


def _inside_capwap(frame: bytes, at: int) -> Packet | None:
    """Decodes the frame in a CAPWAP data packet (RFC 5415 §4.3): of 802.3, or of 802.11 as RFC 5416 has it.

    Access points also send it with its frame control's bytes swapped. Not decoded: DTLS, and the fragments of CAPWAP.
    """
    if frame[at] or frame[at + 3] & 0x80:
        return None
    behind = at + (frame[at + 1] >> 3 << 2)
    if not frame[at + 2] & 1:
        return _ethernet(frame, behind)
    if frame[at + 2] >> 1 & 0x1F != _WIFI:
        return None
    return _sound(decode_wifi(frame, behind)) or decode_wifi(frame, behind, swapped=True)


def _inside_gue(frame: bytes, at: int) -> Packet | None:
    """Decodes the IP packet after a GUE header with its fields, or one without a header (variant 1)."""
    if frame[at] >> 6 == 1:
        return decode_ip(frame, at)
    behind = at + 4 + 4 * (frame[at] & 0x1F)
    if frame[at] & 0xE0 or frame[at + 1] not in (IP_IN_IP, IPV6_IN_IP):
        return None
    return decode_ip(frame, behind)


def _behind_tags(frame: bytes, at: int) -> int:
    """Returns the offset after TZSP's tags: each a kind, a length and that many bytes; 0 is padding, 1 ends them."""
    while at < len(frame) and frame[at] != 1:
        at += 1 if frame[at] == 0 else 2 + (frame[at + 1] if at + 1 < len(frame) else 0)
    return at + 1


def _inside_l2tp(frame: bytes, at: int) -> Packet | None:
    flags, version = frame[at], frame[at + 1] & 0x0F
    if flags & 0x80:
        return None  # a control message
    if version == 3:
        return _inside_l2tp_session(frame, at + 4)
    if version != 2:
        return None
    at += 6 + (2 if flags & 0x40 else 0) + (4 if flags & 0x08 else 0)
    if flags & 0x02:
        if at + 2 > len(frame):
            return None
        at += 2 + ((frame[at] << 8) | frame[at + 1])
    return decode_ppp(frame, at)


def _inside_l2tp_session(frame: bytes, at: int) -> Packet | None:
    """Decodes an L2TPv3 session packet by trying each cookie length until the frame inside is sound."""
    for cookie in _COOKIES:
        inner = _sound(_ethernet(frame, at + 4 + cookie))
        if inner is not None:
            return inner
    return None


def _behind_gtp(data: bytes, at: int) -> int:
    """Returns the offset of the user's packet after a GTP-U header; below 0 for another message or a truncated one."""
    length = len(data)
    if length < at + 12 or data[at] & 0xF0 != 0x30 or data[at + 1] != 0xFF:
        return _NOTHING
    flags = data[at] & 7
    start = at + 8
    if flags:
        kind = data[start + 3]
        start += 4
        while flags & 4 and kind:  # extension headers: length in words first, the next one's kind last
            size = data[start] * 4 if start < length else 0
            if size == 0 or start + size > length:
                return _NOTHING
            kind = data[start + size - 1]
            start += size
    return start if start < length else _NOTHING


def _behind_vxlan(data: bytes, at: int) -> int:
    """Returns the offset of the frame after a VXLAN header, plain or with a group policy; below 0 if it is neither."""
    if len(data) < at + 8 + 14 or data[at + 7]:
        return _NOTHING
    plain = data[at] == 8 and data[at + 1] == data[at + 2] == data[at + 3] == 0
    return at + 8 if plain or (data[at] == 0x88 and not data[at + 1] & 0xB7) else _NOTHING


def _after_gpe(data: bytes, at: int) -> int:
    """Returns the EtherType of what follows a VXLAN-GPE header; below 0 if the header does not give a known one."""
    if len(data) < at + 8 + 14 or data[at] & 0xF4 != 4 or data[at + 1] or data[at + 2] or data[at + 7]:
        return _NOTHING
    return NEXT.get(data[at + 3], _NOTHING)


def _behind_teredo(data: bytes, at: int) -> int:
    """Returns the IPv6 packet's offset after Teredo's optional authentication and origin headers; below 0 if none."""
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
    if kind == _PPP:
        return decode_ppp(frame, start + (4 if frame[at + 1] & 0x81 == 0x81 else 0))
    if kind == _EOIP and frame[at + 1] & 7 == 1:
        return _ethernet(frame, start)
    if kind == _WCCP:
        return decode_ip(frame, start if frame[start : start + 1] and frame[start] >> 4 == 4 else start + 4)
    if kind in _ERSPAN:
        return _ethernet(frame, _behind_erspan(frame, start, kind, flags))
    return decode_ethertype(frame, start, kind)


def _behind_erspan(frame: bytes, at: int, kind: int, flags: int) -> int:
    """Returns the offset after ERSPAN's header: 0 bytes in type I (no GRE sequence number), 8 in type II, 12 in type
    III and 8 more if its flag says so."""
    if kind == _ERSPAN[0]:
        return at + 8 if flags & 0x10 else at
    return at + 12 + (8 if at + 11 < len(frame) and frame[at + 11] & 1 else 0)


def _ethernet(frame: bytes, at: int) -> Packet:
    return decode_ethertype(frame, at, ETHERNET)
