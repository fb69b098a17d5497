"""Computes and checks the Internet checksum (RFC 1071) of whole packets.

Frames captured on the sending machine, or straight from its kernel, have unfinished checksums: the field holds the
pseudo-header's sum, which the network card would complete. They count as good.
"""

from __future__ import annotations

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.words import sum_of_words


def ones_sum(data: bytes) -> int:
    """Returns the ones' complement sum of the 16-bit big-endian words, an odd length padded with a zero byte."""
    return _fold(sum_of_words(data, 0, len(data)))


def _fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _pseudo_sum(packet: Packet, length: int) -> int:
    ends = sum_of_words(packet.src, 0, len(packet.src)) + sum_of_words(packet.dst, 0, len(packet.dst))
    return ends + packet.proto + length


def checksum(data: bytes) -> int:
    """Returns the checksum field's value for `data`, in which that field is zero."""
    return 0xFFFF - ones_sum(data)


def pseudo_header(src: bytes, dst: bytes, proto: int, length: int) -> bytes:
    """Returns the pseudo-header of RFC 9293 §3.1 (IPv4) or RFC 8200 §8.1 (IPv6)."""
    if len(src) == 4:
        return src + dst + bytes((0, proto, (length >> 8) & 0xFF, length & 0xFF))
    return src + dst + length.to_bytes(4, "big") + bytes((0, 0, 0, proto))


def header_checksum_good(packet: Packet) -> bool:
    """Returns whether the IPv4 header checksum is right; True for IPv6, which has none."""
    if packet.version != 4:
        return True
    return _fold(sum_of_words(packet.frame, packet.ip, packet.ip + ((packet.frame[packet.ip] & 0x0F) << 2))) == 0xFFFF


def transport_checksum_good(packet: Packet) -> bool:
    """Returns whether the TCP or UDP checksum is right.

    Unfinished ones count as good, as do those of other protocols and of truncated packets, which cannot be checked.
    """
    proto = packet.proto
    if (proto != TCP and proto != UDP) or packet.captured_end < packet.end:
        return True
    at = packet.l4 + (16 if proto == TCP else 6)
    frame = packet.frame
    if at + 2 > packet.captured_end:
        return False
    field = (frame[at] << 8) | frame[at + 1]
    if field == 0 and proto == UDP and packet.version == 4:
        return True
    length = packet.end - packet.l4
    pseudo = _pseudo_sum(packet, length)
    if _fold(pseudo + sum_of_words(frame, packet.l4, packet.end)) == 0xFFFF:
        return True
    return field in (_fold(pseudo), _fold(pseudo - length))
