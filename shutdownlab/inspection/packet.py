"""Decodes a frame: Ethernet (SNAP, VLAN, QinQ, PPPoE, MPLS, 802.1ah and other headers before IP), IPv4 and IPv6 with
extension headers, TCP, UDP, IP in IP.

Only the addresses are copied; everything else is an offset into the frame. `decode` and `decode_ip` never raise: a
packet that cannot be read has `problem` set, and the fields read so far. Sources: RFC 791, 8200, 4302, 9293, 768, 2516,
3032, 4448, 1042, 6325 (TRILL), 8300 (NSH); IEEE 802.1AE (MACsec).
"""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import (
    AH,
    ETHER_BACKBONE,
    ETHER_BATMAN,
    ETHER_FABRICPATH,
    ETHER_IPV4,
    ETHER_IPV6,
    ETHER_MACSEC,
    ETHER_MPLS,
    ETHER_MPLS_MULTICAST,
    ETHER_NSH,
    ETHER_PPPOE,
    ETHER_QINQ,
    ETHER_QINQ_OLD,
    ETHER_TRILL,
    ETHER_VLAN,
    IP_IN_IP,
    IPV6_IN_IP,
    TCP,
    UDP,
)

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20

OPTION_MSS: Final = 2
OPTION_MD5: Final = 19
"""TCP MD5 signature (RFC 2385)."""

_MAX_HEADERS: Final = 8
_MAX_TUNNELS: Final = 3
_LONGEST_8023: Final = 1500
"""Up to this value, the EtherType field holds the frame's length (IEEE 802.3 §3.2.6)."""
SNAP: Final = (b"\xaa\xaa\x03\0\0\0", b"\xaa\xaa\x03\0\0\xf8")
"""The first bytes of an 802.2 header that is followed by an EtherType (RFC 1042; 802.1H)."""
_NO_TYPE: Final = -1
TAGS: Final = (ETHER_VLAN, ETHER_QINQ, *ETHER_QINQ_OLD)
"""EtherTypes of VLAN tags, which are four bytes long."""
_OTHER_TAGS: Final = {0x8926: 6, 0x892F: 6, 0x893F: 8, 0x8909: 8}
"""Further tags, with their lengths in bytes including the next EtherType: Cisco's VN-Tag, HSR (IEC 62439-3), the E-Tag
of IEEE 802.1BR, Cisco's metadata."""
ETHERNET: Final = 0x6558
"""The EtherType of a whole frame within another packet (transparent Ethernet bridging)."""
NEXT: Final = {1: ETHER_IPV4, 2: ETHER_IPV6, 3: ETHERNET, 4: ETHER_NSH, 5: ETHER_MPLS}
"""The next-protocol numbers of NSH, VXLAN-GPE and LISP-GPE, and their EtherTypes."""
_BATMAN_VERSION: Final = 15
_BATMAN: Final = {0x40: 10, 0x42: 18}
"""The packet types of batman-adv that carry a frame for one receiver, with their headers' lengths in bytes."""
_ENCRYPTED: Final = 0x0C
"""MACsec's flags for content that is encrypted or changed (IEEE 802.1AE §9.5)."""
_TYPES: Final = (
    ETHER_IPV4,
    ETHER_IPV6,
    *TAGS,
    ETHER_PPPOE,
    ETHER_BACKBONE,
    ETHER_MPLS,
    ETHER_MPLS_MULTICAST,
)
"""The EtherTypes that are decoded."""


class Packet:
    """A decoded packet. Offsets are into `frame`; addresses are 4 or 16 bytes in network order."""

    __slots__ = (
        "ack",
        "captured_end",
        "dport",
        "dst",
        "end",
        "flags",
        "fragment_id",
        "fragment_more",
        "fragment_offset",
        "frame",
        "ip",
        "l4",
        "payload",
        "problem",
        "proto",
        "reassembled",
        "seq",
        "sport",
        "src",
        "ttl",
        "urgent",
        "version",
        "window",
    )

    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.ip = 0
        self.version = 0
        self.src = b""
        self.dst = b""
        self.proto = -1
        self.ttl = 0
        self.fragment_id = 0
        self.fragment_offset = 0
        """In bytes. The packet is a fragment if this is above 0 or `fragment_more` is set."""
        self.fragment_more = False
        self.l4 = 0
        self.payload = 0
        self.end = 0
        """Offset at which the packet ends by its own length fields; may be beyond what was captured."""
        self.captured_end = 0
        """Offset at which its captured bytes end: min(end, len(frame))."""
        self.sport = 0
        self.dport = 0
        self.seq = 0
        self.ack = 0
        self.flags = 0
        self.window = 0
        self.urgent = 0
        self.problem: str | None = None
        self.reassembled = False
        """Whether it was reassembled from fragments, so that its IPv4 header checksum means nothing."""

    @property
    def is_fragment(self) -> bool:
        return self.fragment_more or self.fragment_offset > 0

    @property
    def data(self) -> bytes:
        """The transport payload that was captured."""
        return self.frame[self.payload : self.captured_end]

    @property
    def data_length(self) -> int:
        """The transport payload's length on the wire, by which TCP sequence numbers advance."""
        return self.end - self.payload

    def option(self, kind: int) -> bytes | None:
        """Returns the value of the TCP option `kind`, None if it is absent. A malformed option ends the search."""
        frame = self.frame
        index = self.l4 + 20
        stop = min(self.payload, len(frame))
        while index < stop:
            code = frame[index]
            if code == 0:
                return None
            if code == 1:
                index += 1
                continue
            if index + 1 >= stop:
                return None
            size = frame[index + 1]
            if size < 2:
                return None
            if code == kind:
                return frame[index + 2 : min(index + size, stop)]
            index += size
        return None

    def options_among(self, known: frozenset[int]) -> bool:
        """Returns whether the kinds of all its readable TCP options are in `known`."""
        frame = self.frame
        index = self.l4 + 20
        stop = min(self.payload, len(frame))
        while index < stop:
            code = frame[index]
            if code not in known:
                return False
            if code == 0:
                return True
            size = 1 if code == 1 else frame[index + 1] if index + 1 < stop else 0
            if size < 2 and code != 1:
                return True
            index += size
        return True


def decode(frame: bytes) -> Packet:
    """Decodes an Ethernet frame. Never raises; sets `problem` if it is not IP or too short."""
    length = len(frame)
    if length < 14:
        packet = Packet(frame)
        packet.problem = "frame shorter than its Ethernet header"
        return packet
    kind = (frame[12] << 8) | frame[13]
    if kind in (ETHER_IPV4, ETHER_IPV6):
        return decode_ip(frame, 14)
    return decode_ethertype(frame, 14, kind)


def decode_ethertype(frame: bytes, offset: int, kind: int) -> Packet:
    """Decodes the bytes at `offset`, after the EtherType `kind`: IP, or headers that may precede it.

    These are SNAP, tags, MACsec that only authenticates, NSH, PPPoE, MPLS labels, and a whole frame behind labels (RFC
    4448), in a provider's (802.1ah) or in that of a fabric (TRILL, FabricPath, batman-adv).
    """
    length = len(frame)
    for _ in range(_MAX_HEADERS):
        if kind in (ETHER_IPV4, ETHER_IPV6):
            return decode_ip(frame, offset)
        if kind == ETHER_PPPOE:
            return decode_ppp(frame, offset + 6)
        if kind == ETHER_NSH and offset + 8 <= length:
            kind = NEXT.get(frame[offset + 3], _NO_TYPE)
            offset += (frame[offset + 1] & 0x3F) << 2
            continue
        if kind in (ETHER_MPLS, ETHER_MPLS_MULTICAST):
            while offset + 4 <= length and not frame[offset + 2] & 1:
                offset += 4
            offset += 4
            if offset >= length:
                break
            nibble = frame[offset] >> 4
            if nibble in (4, 6):
                return decode_ip(frame, offset)
            # A whole frame, with or without a control word; its zero nibble may also begin a link address.
            offset += 18 if nibble == 0 and _type_at(frame, offset + 16) in _TYPES else 14
        else:
            size = _header_size(frame, offset, kind)
            if size == 0:
                break
            offset += size
        kind = _type_at(frame, offset - 2)
    packet = Packet(frame)
    packet.problem = "encrypted by MACsec" if kind == ETHER_MACSEC else "not IP"
    return packet


def _header_size(frame: bytes, at: int, kind: int) -> int:
    """Returns the bytes at `at`, after the EtherType `kind`, up to and with the next EtherType; 0 if none follows."""
    if kind in TAGS:
        return 4
    if kind == ETHER_BACKBONE:
        return 4 + 14
    if kind == ETHERNET:
        return 14
    if kind in _OTHER_TAGS:
        return _OTHER_TAGS[kind]
    if kind == ETHER_FABRICPATH:
        return 2 + 14
    if at + 6 > len(frame):
        return 0
    if kind == ETHER_MACSEC:
        return 0 if frame[at] & _ENCRYPTED else (14 if frame[at] & 0x20 else 6) + 2
    if kind == ETHER_TRILL:
        return 6 + (((frame[at] & 7) << 2 | frame[at + 1] >> 6) << 2) + 14
    if kind == ETHER_BATMAN and frame[at + 1] == _BATMAN_VERSION and frame[at] in _BATMAN:
        return _BATMAN[frame[at]] + 14
    return 8 if 0 <= kind <= _LONGEST_8023 and frame[at : at + 6] in SNAP else 0


def _type_at(frame: bytes, at: int) -> int:
    return (frame[at] << 8) | frame[at + 1] if at + 2 <= len(frame) else _NO_TYPE


def decode_ppp(frame: bytes, at: int) -> Packet:
    """Decodes from the PPP header at `at`, with or without address and control, and with a protocol of 1 or 2 bytes.

    Sets `problem` if it is not IP. Source: RFC 1661 §6.5 and §6.6.
    """
    if frame[at : at + 2] == b"\xff\x03":
        at += 2
    if frame[at : at + 2] in (b"\x00\x21", b"\x00\x57"):
        return decode_ip(frame, at + 2)
    if frame[at : at + 1] in (b"\x21", b"\x57"):
        return decode_ip(frame, at + 1)
    packet = Packet(frame)
    packet.problem = "not IP"
    return packet


def decode_ip(frame: bytes, offset: int) -> Packet:
    """Decodes from the IP header at `offset`; follows up to three levels of IP in IP (RFC 2003, 2473, 4213)."""
    packet = Packet(frame)
    tunnels = 0
    while True:
        packet.ip = offset
        if offset >= len(frame):
            packet.problem = "no IP header"
            return packet
        version = frame[offset] >> 4
        packet.version = version
        if version == 4:
            _ipv4(packet, offset)
        elif version == 6:
            _ipv6(packet, offset)
        else:
            packet.problem = "IP version is neither 4 nor 6"
        if packet.problem is not None or packet.fragment_offset > 0 or packet.fragment_more:
            return packet
        proto = packet.proto
        if proto == TCP:
            _tcp(packet)
        elif proto == UDP:
            _udp(packet)
        elif proto in (IP_IN_IP, IPV6_IN_IP) and tunnels < _MAX_TUNNELS:
            offset = packet.l4
            tunnels += 1
            continue
        else:
            packet.payload = packet.l4
        return packet


def _ipv4(packet: Packet, offset: int) -> None:
    frame = packet.frame
    length = len(frame)
    if offset + 20 > length:
        packet.problem = "IPv4 header cut"
        return
    header = (frame[offset] & 0x0F) << 2
    total = (frame[offset + 2] << 8) | frame[offset + 3]
    packet.src = frame[offset + 12 : offset + 16]
    packet.dst = frame[offset + 16 : offset + 20]
    packet.proto = frame[offset + 9]
    packet.ttl = frame[offset + 8]
    # A segmentation-offload frame above 64 KiB has length 0: it ends where the frame ends (Linux BIG TCP).
    end = offset + total if total else length
    packet.end = end
    packet.captured_end = end if end < length else length
    packet.l4 = offset + header
    packet.payload = packet.l4
    if header < 20 or packet.l4 > packet.captured_end:
        packet.problem = "IPv4 header length out of range"
        return
    if packet.proto == AH:
        _authenticated(packet)
    fragment = (frame[offset + 6] << 8) | frame[offset + 7]
    packet.fragment_id = (frame[offset + 4] << 8) | frame[offset + 5]
    if fragment & 0x3FFF:
        packet.fragment_more = fragment & 0x2000 != 0
        packet.fragment_offset = (fragment & 0x1FFF) << 3


def _authenticated(packet: Packet) -> None:
    """Skips an authentication header, as in IPv6: what follows it is in clear (RFC 4302 §2)."""
    frame, at = packet.frame, packet.l4
    if at + 8 > packet.captured_end:
        return
    after = at + ((frame[at + 1] + 2) << 2)
    fragment = (frame[packet.ip + 6] << 8) | frame[packet.ip + 7]
    if after <= packet.captured_end and not fragment & 0x3FFF:
        packet.proto = frame[at]
        packet.l4 = packet.payload = after


def _ipv6(packet: Packet, offset: int) -> None:
    frame = packet.frame
    length = len(frame)
    if offset + 40 > length:
        packet.problem = "IPv6 header cut"
        return
    size = (frame[offset + 4] << 8) | frame[offset + 5]
    packet.src = frame[offset + 8 : offset + 24]
    packet.dst = frame[offset + 24 : offset + 40]
    packet.ttl = frame[offset + 7]
    kind = frame[offset + 6]
    index = offset + 40
    end = index + size if size else length
    packet.end = end
    stop = end if end < length else length
    packet.captured_end = stop
    while True:
        if kind == 0 or kind == 43 or kind == 60 or kind == 135 or kind == 139 or kind == 140:
            if index + 8 > stop:
                packet.problem = "IPv6 extension header cut"
                break
            kind = frame[index]
            index += (frame[index + 1] + 1) << 3
        elif kind == 51:
            if index + 8 > stop:
                packet.problem = "IPv6 extension header cut"
                break
            kind = frame[index]
            index += (frame[index + 1] + 2) << 2
        elif kind == 44:
            if index + 8 > stop:
                packet.problem = "IPv6 extension header cut"
                break
            kind = frame[index]
            fragment = (frame[index + 2] << 8) | frame[index + 3]
            packet.fragment_id = int.from_bytes(frame[index + 4 : index + 8], "big")
            packet.fragment_offset = fragment & 0xFFF8
            packet.fragment_more = fragment & 1 != 0
            index += 8
            if packet.fragment_offset or packet.fragment_more:
                break  # offsets count from here; what follows is decoded once the datagram is whole
        else:
            break
    packet.proto = kind
    packet.l4 = index
    packet.payload = index
    if index > stop and packet.problem is None:
        packet.problem = "IPv6 extension header cut"


def _tcp(packet: Packet) -> None:
    frame = packet.frame
    at = packet.l4
    if at + 20 > packet.captured_end:
        if at + 4 <= packet.captured_end:
            packet.sport = (frame[at] << 8) | frame[at + 1]
            packet.dport = (frame[at + 2] << 8) | frame[at + 3]
        packet.problem = "TCP header cut"
        return
    packet.sport = (frame[at] << 8) | frame[at + 1]
    packet.dport = (frame[at + 2] << 8) | frame[at + 3]
    packet.seq = (frame[at + 4] << 24) | (frame[at + 5] << 16) | (frame[at + 6] << 8) | frame[at + 7]
    packet.ack = (frame[at + 8] << 24) | (frame[at + 9] << 16) | (frame[at + 10] << 8) | frame[at + 11]
    packet.flags = frame[at + 13]
    packet.window = (frame[at + 14] << 8) | frame[at + 15]
    packet.urgent = (frame[at + 18] << 8) | frame[at + 19]
    header = (frame[at + 12] >> 4) << 2
    payload = at + header
    packet.payload = payload
    if header < 20 or payload > packet.end:
        packet.payload = packet.end
        packet.problem = "TCP data offset out of range"
    elif payload > packet.captured_end:
        packet.payload = packet.captured_end


def _udp(packet: Packet) -> None:
    frame = packet.frame
    at = packet.l4
    if at + 8 > packet.captured_end:
        packet.problem = "UDP header cut"
        return
    packet.sport = (frame[at] << 8) | frame[at + 1]
    packet.dport = (frame[at + 2] << 8) | frame[at + 3]
    packet.payload = at + 8
    size = (frame[at + 4] << 8) | frame[at + 5]
    if 8 <= size < packet.end - at:
        packet.end = at + size
        if packet.captured_end > packet.end:
            packet.captured_end = packet.end
