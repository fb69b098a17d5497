"""Passes over the headers of rarer link types: of switches' tags, of recorders and of old networks.

Source: the link-layer registry of tcpdump.org; for single headers the documents named there. Each function returns
where the packet begins, and what it begins with: an EtherType, or one of the kinds below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from shutdownlab.config.numbers import ETHER_IPV4, ETHER_IPV6

TOKEN_RING: Final = 6
SLIP: Final = 8
FRAME_RELAY: Final = 107
IP_OVER_FC: Final = 122
SUNATM: Final = 123
DOCSIS: Final = 143
JUNIPER_ETHER: Final = 178
ERF: Final = 197
FRAME_RELAY_WITH_DIRECTION: Final = 206
IPNET: Final = 226
NETANALYZER_TRANSPARENT: Final = 241
UPPER_PDU: Final = 252
EPON: Final = 259
MPACKET: Final = 274
DSA_BROADCOM: Final = 281
DSA_BROADCOM_PREPENDED: Final = 282
DSA: Final = 284
EDSA: Final = 285

IP: Final = -1
"""An IP packet of either version."""
FRAME: Final = -2
"""An Ethernet frame."""
SNAP: Final = -3
"""An 802.2 header with SNAP."""
NOTHING: Final = -4

_PREAMBLE: Final = 8
_FRAME_STARTS: Final = (0xD5, 0xE6, 0x4C, 0x7F, 0xB3)
"""What ends the preamble of an express frame, or of a preemptable one's first part (IEEE 802.3-2022 §99.3)."""
_MGC: Final = b"MGC"
_MGC_EXTENDED: Final = 0x80
_MGC_NO_FRAME: Final = 0x02
_ERF_FRAMES: Final = (2, 11, 16, 20)
"""ERF's record types with an Ethernet frame: plain, and with a colour or the port's hash."""
_ERF_IPS: Final = (22, 23)
_BY_NLPID: Final = {0xCC: ETHER_IPV4, 0x8E: ETHER_IPV6}
_NAME: Final = 12
"""The tag with the name of the protocol, in Wireshark's exported packets."""
_OLD_NAME: Final = 1


class Behind(NamedTuple):
    """What a link type's header has behind it: where that begins, and an EtherType or a kind."""

    at: int
    kind: int


_NO: Final = Behind(0, NOTHING)


def behind(link: int, frame: bytes, at: int) -> Behind:
    """Returns what follows the header of a frame of link type `link` that begins at `at`."""
    find = FINDERS.get(link)
    return find(frame, at) if find is not None and len(frame) >= at + 24 else _NO


def _number(frame: bytes, at: int) -> int:
    return int.from_bytes(frame[at : at + 2], "big")


def _tagged(size: int) -> Callable[[bytes, int], Behind]:
    """A switch's tag of `size` bytes between the addresses and the EtherType."""
    return lambda frame, at: Behind(at + 14 + size, _number(frame, at + 12 + size))


def _fixed(size: int, kind: int) -> Callable[[bytes, int], Behind]:
    return lambda frame, at: Behind(at + size, kind)


def _mpacket(frame: bytes, at: int) -> Behind:
    start = at
    while frame[start] == 0x55 and start < at + _PREAMBLE - 1:
        start += 1
    return Behind(start + 1, FRAME) if frame[start] in _FRAME_STARTS else _NO


def _token_ring(frame: bytes, at: int) -> Behind:
    """Two bytes of control, the addresses, and a route if the source's first bit is set."""
    return Behind(at + 14 + (frame[at + 14] & 0x1F if frame[at + 8] & 0x80 else 0), SNAP)


def _sunatm(frame: bytes, at: int) -> Behind:
    if frame[at] & 0x0F == 1:  # LAN emulation: two bytes, and the frame
        return Behind(at + 6, FRAME)
    return Behind(at + 4, SNAP) if frame[at] & 0x0F == 2 else _NO


def _frame_relay(frame: bytes, at: int) -> Behind:
    """An address of two to four bytes (Q.922), then as RFC 2427 has it, or an EtherType as Cisco's routers have."""
    start = at + 1
    while not frame[start - 1] & 1 and start < at + 4:
        start += 1
    if frame[start] != 3:
        return Behind(start + 2, _number(frame, start))
    start += 2 if frame[start + 1] == 0 else 1
    if frame[start] == 0x80:
        return Behind(start + 6, _number(frame, start + 4)) if frame[start + 1 : start + 4] == bytes(3) else _NO
    return Behind(start + 1, _BY_NLPID.get(frame[start], NOTHING))


def _docsis(frame: bytes, at: int) -> Behind:
    """A frame of data in the clear: its control, the length of its extension, which may have been left out, a check."""
    if frame[at] & 0xFE:
        return _NO
    return Behind(at + 6 + (frame[at + 1] if frame[at] & 1 else 0), FRAME)


def _juniper(frame: bytes, at: int) -> Behind:
    if frame[at : at + 3] != _MGC:
        return _NO
    start = at + 4 + (2 + _number(frame, at + 4) if frame[at + 3] & _MGC_EXTENDED else 0)
    return Behind(start + 4, IP) if frame[at + 3] & _MGC_NO_FRAME else Behind(start, FRAME)


def _erf(frame: bytes, at: int) -> Behind:
    """A record of Endace's: 16 bytes, 8 for each further header, and two before an Ethernet frame."""
    kind, start = frame[at + 8], at + 16
    more = kind & 0x80
    while more and start < len(frame):
        more = frame[start] & 0x80
        start += 8
    if kind & 0x7F in _ERF_FRAMES:
        return Behind(start + 2, FRAME)
    return Behind(start, IP) if kind & 0x7F in _ERF_IPS else _NO


def _upper_pdu(frame: bytes, at: int) -> Behind:
    """Wireshark's exported packets: tags, each with a length, of which one has the protocol's name."""
    name = b""
    while at + 4 <= len(frame):
        tag, size = _number(frame, at), _number(frame, at + 2)
        if tag in (_NAME, _OLD_NAME):
            name = frame[at + 4 : at + 4 + size].rstrip(b"\0")
        at += 4 + size
        if tag == 0:
            break
    if name.startswith(b"eth"):
        return Behind(at, FRAME)
    return Behind(at, IP) if name in (b"ip", b"ipv4", b"ipv6") else _NO


FINDERS: Final[dict[int, Callable[[bytes, int], Behind]]] = {
    TOKEN_RING: _token_ring,
    SLIP: _fixed(16, IP),
    FRAME_RELAY: _frame_relay,
    FRAME_RELAY_WITH_DIRECTION: lambda frame, at: _frame_relay(frame, at + 1),
    IP_OVER_FC: _fixed(16, SNAP),
    SUNATM: _sunatm,
    DOCSIS: _docsis,
    JUNIPER_ETHER: _juniper,
    ERF: _erf,
    IPNET: _fixed(24, IP),
    NETANALYZER_TRANSPARENT: _fixed(4 + _PREAMBLE, FRAME),
    UPPER_PDU: _upper_pdu,
    EPON: _fixed(_PREAMBLE, FRAME),
    MPACKET: _mpacket,
    DSA_BROADCOM: _tagged(4),
    DSA_BROADCOM_PREPENDED: _fixed(4, FRAME),
    DSA: _tagged(4),
    EDSA: _tagged(8),
}
"""By link type: what finds the packet behind its header."""
