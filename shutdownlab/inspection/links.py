"""Decodes captured frames by the link type of their file.

Source: the link-layer registry of tcpdump.org, whose names these are; for single headers the documents named there.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import ETHER_MPLS
from shutdownlab.inspection import rare_links
from shutdownlab.inspection.packet import SNAP, Packet, decode, decode_ethertype, decode_ip, decode_ppp

NULL: Final = 0
ETHERNET: Final = 1
PPP: Final = 9
FDDI: Final = 10
RAW_BSD: Final = 12
RAW_OPENBSD: Final = 14
PPP_HDLC: Final = 50
PPP_ETHER: Final = 51
RFC1483: Final = 100
RAW: Final = 101
C_HDLC: Final = 104
WIFI: Final = 105
LOOP: Final = 108
ENC: Final = 109
LINUX_SLL: Final = 113
PFLOG: Final = 117
PRISM: Final = 119
RADIOTAP: Final = 127
FIREWIRE: Final = 138
PKTAP_OLD: Final = 149
AVS: Final = 163
PPP_PPPD: Final = 166
PPI: Final = 192
PPP_WITH_DIRECTION: Final = 204
C_HDLC_WITH_DIRECTION: Final = 205
MPLS: Final = 219
IPV4: Final = 228
IPV6: Final = 229
NFLOG: Final = 239
NETANALYZER: Final = 240
IPOIB: Final = 242
PKTAP: Final = 258
LINUX_SLL2: Final = 276

NAMES: Final = {
    0: "NULL", 1: "ETHERNET", 3: "AX25", 6: "IEEE802_5", 7: "ARCNET_BSD", 8: "SLIP", 9: "PPP", 10: "FDDI", 12: "RAW",
    14: "RAW", 50: "PPP_HDLC", 51: "PPP_ETHER", 99: "SYMANTEC_FIREWALL", 100: "ATM_RFC1483", 101: "RAW", 104: "C_HDLC",
    105: "IEEE802_11", 107: "FRELAY", 108: "LOOP", 109: "ENC", 113: "LINUX_SLL", 114: "LTALK", 117: "PFLOG",
    119: "IEEE802_11_PRISM", 122: "IP_OVER_FC", 123: "SUNATM", 127: "IEEE802_11_RADIOTAP", 129: "ARCNET_LINUX",
    130: "JUNIPER_MLPPP", 131: "JUNIPER_MLFR", 132: "JUNIPER_ES", 133: "JUNIPER_GGSN", 134: "JUNIPER_MFR",
    135: "JUNIPER_ATM2", 136: "JUNIPER_SERVICES", 137: "JUNIPER_ATM1", 138: "APPLE_IP_OVER_IEEE1394",
    139: "MTP2_WITH_PHDR", 140: "MTP2", 141: "MTP3", 142: "SCCP", 143: "DOCSIS", 144: "LINUX_IRDA", 149: "PKTAP",
    163: "IEEE802_11_AVS", 164: "JUNIPER_MONITOR", 165: "BACNET_MS_TP", 166: "PPP_PPPD", 167: "JUNIPER_PPPOE",
    168: "JUNIPER_PPPOE_ATM", 169: "GPRS_LLC", 177: "LINUX_LAPD", 178: "JUNIPER_ETHER", 179: "JUNIPER_PPP",
    180: "JUNIPER_FRELAY", 181: "JUNIPER_CHDLC", 182: "MFR", 183: "JUNIPER_VP", 187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX", 192: "PPI", 194: "JUNIPER_ISM", 195: "IEEE802_15_4_WITHFCS", 196: "SITA", 197: "ERF",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR", 202: "AX25_KISS", 203: "LAPD", 204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR",
    206: "FRELAY_WITH_DIR", 209: "IPMB_LINUX", 215: "IEEE802_15_4_NONASK_PHY", 219: "MPLS", 220: "USB_LINUX_MMAPPED",
    224: "FC_2", 225: "FC_2_WITH_FRAME_DELIMS", 226: "IPNET", 227: "CAN_SOCKETCAN", 228: "IPV4", 229: "IPV6",
    230: "IEEE802_15_4_NOFCS", 231: "DBUS", 232: "JUNIPER_VS", 233: "JUNIPER_SRX_E2E", 234: "JUNIPER_FIBRECHANNEL",
    235: "DVB_CI", 236: "MUX27010", 237: "STANAG_5066_D_PDU", 238: "JUNIPER_ATM_CEMIC", 239: "NFLOG",
    240: "NETANALYZER", 241: "NETANALYZER_TRANSPARENT", 242: "IPOIB", 243: "MPEG_2_TS", 244: "NG40", 245: "NFC_LLCP",
    247: "INFINIBAND", 248: "SCTP", 249: "USBPCAP", 250: "RTAC_SERIAL", 251: "BLUETOOTH_LE_LL",
    252: "WIRESHARK_UPPER_PDU", 253: "NETLINK", 254: "BLUETOOTH_LINUX_MONITOR", 255: "BLUETOOTH_BREDR_BB",
    256: "BLUETOOTH_LE_LL_WITH_PHDR", 257: "PROFIBUS_DL", 258: "PKTAP", 259: "EPON", 260: "IPMI_HPM_2",
    261: "ZWAVE_R1_R2", 262: "ZWAVE_R3", 263: "WATTSTOPPER_DLM", 264: "ISO_14443", 265: "RDS", 266: "USB_DARWIN",
    268: "SDLC", 270: "LORATAP", 271: "VSOCK", 272: "NORDIC_BLE", 273: "DOCSIS31_XRA31", 274: "ETHERNET_MPACKET",
    275: "DISPLAYPORT_AUX", 276: "LINUX_SLL2", 278: "OPENVIZSLA", 279: "EBHSCR", 280: "VPP_DISPATCH",
    281: "DSA_TAG_BRCM", 282: "DSA_TAG_BRCM_PREPEND", 283: "IEEE802_15_4_TAP", 284: "DSA_TAG_DSA", 285: "DSA_TAG_EDSA",
    286: "ELEE", 287: "Z_WAVE_SERIAL", 288: "USB_2_0", 289: "ATSC_ALP", 290: "ETW", 292: "ZBOSS_NCP",
}  # fmt: skip
READ: Final = frozenset(
    (NULL, ETHERNET, PPP, FDDI, RAW_BSD, RAW_OPENBSD, PPP_HDLC, PPP_ETHER, RFC1483, RAW, C_HDLC, WIFI, LOOP, ENC,
     LINUX_SLL, PFLOG, PRISM, RADIOTAP, FIREWIRE, PKTAP_OLD, AVS, PPP_PPPD, PPI, PPP_WITH_DIRECTION,
     C_HDLC_WITH_DIRECTION, MPLS, IPV4, IPV6, NFLOG, NETANALYZER, IPOIB, PKTAP, LINUX_SLL2, *rare_links.FINDERS)
)  # fmt: skip
"""The supported link types: those whose frames have IP behind a header that is known here."""

_MOST_HEADERS: Final = 4
_DATA: Final = 2
"""A data frame's type in IEEE 802.11."""


def name_of(link: int) -> str:
    """Returns a link type's name and number, as `IEEE802_11_RADIOTAP (link type 127)`."""
    name = NAMES.get(link) or (f"USER{link - 147}" if 147 <= link <= 162 else "")
    return f"{name} (link type {link})" if name else f"link type {link}"


def decode_frame(link: int, frame: bytes) -> Packet:
    """Decodes a captured frame of any link type. Never raises; sets `problem` if it is not IP."""
    if link == ETHERNET:
        return decode(frame)
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return decode_ip(frame, 0)
    return _behind(link, frame, 0, _MOST_HEADERS)


def _behind(link: int, frame: bytes, at: int, depth: int) -> Packet:
    """Decodes a frame of this link type at `at`; up to `depth` link types may be nested."""
    length = len(frame)
    if depth == 0 or length < at + 4:
        return _none(frame)
    if link == ETHERNET and length >= at + 14:
        return decode_ethertype(frame, at + 14, (frame[at + 12] << 8) | frame[at + 13])
    if link in (RAW, RAW_BSD, RAW_OPENBSD, IPV4, IPV6):
        return decode_ip(frame, at)
    if link in (NULL, LOOP):
        # Skip the address family, whose byte order and IPv6 number vary by host; IP's version field tells it.
        return decode_ip(frame, at + 4)
    if link == LINUX_SLL and length >= at + 16:
        return decode_ethertype(frame, at + 16, (frame[at + 14] << 8) | frame[at + 15])
    if link == LINUX_SLL2 and length >= at + 20:
        return decode_ethertype(frame, at + 20, (frame[at] << 8) | frame[at + 1])
    if link in (PPP, PPP_HDLC):
        return decode_ppp(frame, at)
    if link in (PPP_PPPD, PPP_WITH_DIRECTION):
        return decode_ppp(frame, at + 1)
    if link == PPP_ETHER and length >= at + 8:
        return decode_ppp(frame, at + 6)
    if link == C_HDLC:
        return decode_ethertype(frame, at + 4, (frame[at + 2] << 8) | frame[at + 3])
    if link == C_HDLC_WITH_DIRECTION:
        return _behind(C_HDLC, frame, at + 1, depth - 1)
    if link == FIREWIRE and length >= at + 18:
        return decode_ethertype(frame, at + 18, (frame[at + 16] << 8) | frame[at + 17])
    if link == IPOIB and length >= at + 44:
        return decode_ethertype(frame, at + 44, (frame[at + 40] << 8) | frame[at + 41])
    if link == MPLS:
        return decode_ethertype(frame, at, ETHER_MPLS)
    if link == RFC1483:
        return _snap(frame, at)
    if link == FDDI:
        return _snap(frame, at + 13)
    if link == ENC:
        return decode_ip(frame, at + 12)
    if link == PFLOG:
        return decode_ip(frame, at + ((frame[at] + 3) & ~3))
    if link == NETANALYZER:
        return _behind(ETHERNET, frame, at + 4, depth - 1)
    if link == NFLOG:
        return _nflog(frame, at + 4)
    if link == WIFI:
        return decode_wifi(frame, at)
    if link == RADIOTAP:
        return decode_wifi(frame, at + _little(frame, at + 2, 2))
    if link == PRISM:
        return decode_wifi(
            frame, at + (_little(frame, at + 4, 4) if frame[at : at + 2] != b"\x80\x21" else frame[at + 7])
        )
    if link == AVS:
        return decode_wifi(frame, at + int.from_bytes(frame[at + 4 : at + 8], "big"))
    if link == PPI:
        return _behind(_little(frame, at + 4, 4), frame, at + _little(frame, at + 2, 2), depth - 1)
    if link in (PKTAP, PKTAP_OLD):
        return _behind(_little(frame, at + 8, 4), frame, at + _little(frame, at, 4), depth - 1)
    return _rarer(link, frame, at, depth)


def _rarer(link: int, frame: bytes, at: int, depth: int) -> Packet:
    start, kind = rare_links.behind(link, frame, at)
    if kind == rare_links.IP:
        return decode_ip(frame, start)
    if kind == rare_links.FRAME:
        return _behind(ETHERNET, frame, start, depth - 1)
    if kind == rare_links.SNAP:
        return _snap(frame, start)
    return decode_ethertype(frame, start, kind) if kind > 0 and start < len(frame) else _none(frame)


def _little(frame: bytes, at: int, size: int) -> int:
    return int.from_bytes(frame[at : at + size], "little")


def _none(frame: bytes, why: str = "not IP, or of a link type that cannot be read") -> Packet:
    packet = Packet(frame)
    packet.problem = why
    return packet


def _snap(frame: bytes, at: int) -> Packet:
    """Decodes from an 802.2 header with SNAP (RFC 1042)."""
    if frame[at : at + 6] not in SNAP or len(frame) < at + 8:
        return _none(frame)
    return decode_ethertype(frame, at + 8, (frame[at + 6] << 8) | frame[at + 7])


def decode_wifi(frame: bytes, at: int, swapped: bool = False) -> Packet:
    """Decodes an unencrypted IEEE 802.11 data frame (IEEE 802.11-2020 §9.2).

    `swapped`: the two bytes of its frame control are in the other order.
    """
    if len(frame) < at + 24:
        return _none(frame)
    control, flags = (frame[at + 1], frame[at]) if swapped else (frame[at], frame[at + 1])
    subtype = control >> 4
    if (control >> 2) & 3 != _DATA or subtype & 4:
        return _none(frame, "no data of IEEE 802.11")
    if flags & 0x40:
        return _none(frame, "encrypted by IEEE 802.11")
    size = 30 if flags & 3 == 3 else 24
    if subtype & 8:
        size += 6 if flags & 0x80 else 2
    return _snap(frame, at + size)


def _nflog(frame: bytes, at: int) -> Packet:
    """Decodes the packet in the payload attribute of Linux's netfilter log; the host's byte order is detected."""
    length = len(frame)
    while at + 4 <= length:
        size = _little(frame, at, 2)
        kind = _little(frame, at + 2, 2)
        if not 4 <= size <= length - at or kind > 64:
            size = int.from_bytes(frame[at : at + 2], "big")
            kind = int.from_bytes(frame[at + 2 : at + 4], "big")
        if size < 4:
            break
        if kind == 9:  # NFULA_PAYLOAD
            return decode_ip(frame, at + 4)
        at += (size + 3) & ~3
    return _none(frame)
