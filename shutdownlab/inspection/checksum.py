"""The Internet checksum (RFC 1071) over whole packets, and what counts as a good one.

Captures taken on the sending machine, and frames of its kernel, carry unfinished checksums: the field holds the
pseudo-header's sum, to be finished by the network card. Those are told apart from wrong ones.
"""

from __future__ import annotations

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.words import sum_of_words


def ones_sum(data: bytes) -> int:
    """Ones' complement sum of 16-bit big-endian words, odd length padded with a zero byte."""
    return _fold(sum_of_words(data, 0, len(data)))


def _fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _pseudo_sum(packet: Packet, length: int) -> int:
    ends = sum_of_words(packet.src, 0, len(packet.src)) + sum_of_words(packet.dst, 0, len(packet.dst))
    return ends + packet.proto + length


def checksum(data: bytes) -> int:
    """The checksum field's value for `data` (its own field zero)."""
    return 0xFFFF - ones_sum(data)


def pseudo_header(src: bytes, dst: bytes, proto: int, length: int) -> bytes:
    """RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6."""
    if len(src) == 4:
        return src + dst + bytes((0, proto, (length >> 8) & 0xFF, length & 0xFF))
    return src + dst + length.to_bytes(4, "big") + bytes((0, 0, 0, proto))


def header_checksum_good(packet: Packet) -> bool:
    """IPv4 header checksum; True for IPv6, which has none."""
    if packet.version != 4:
        return True
    return _fold(sum_of_words(packet.frame, packet.ip, packet.ip + ((packet.frame[packet.ip] & 0x0F) << 2))) == 0xFFFF


def transport_checksum_good(packet: Packet) -> bool:
    """TCP or UDP checksum. Unfinished ones count as good, and so do cut captures, where it cannot be known."""
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
