"""The Internet checksum (RFC 1071) over whole packets, and what counts as a good one.

Captures taken on the sending machine, and frames of its kernel, carry unfinished checksums: the field holds the
pseudo-header's sum, to be finished by the network card. Those are told apart from wrong ones.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64

from shutdownlab.inspection.packet import TCP, UDP, Packet

_COMPILED: Final = not __file__.endswith(".py")
"""By mypyc: then a loop over words is fastest, else one division of the whole as a number."""


def ones_sum(data: bytes) -> int:
    """Ones' complement sum of 16-bit big-endian words, odd length padded with a zero byte."""
    return _fold(_sum(data, 0, len(data)))


def _sum(data: bytes, start: i64, end: i64) -> i64:
    """Something congruent modulo 65535 to the sum of the words of `data[start:end]`, 0 only for all zeros.

    2^16, and so 2^32, is 1 modulo 65535: words of any size may be added up and folded later.
    """
    total: i64 = 0
    if _COMPILED:
        at = start
        while at + 8 <= end:
            word = read_i64_be(data, at)
            total += ((word >> 32) & 0xFFFFFFFF) + (word & 0xFFFFFFFF)
            at += 8
        while at + 2 <= end:
            total += (i64(data[at]) << 8) | i64(data[at + 1])
            at += 2
        if at < end:
            total += i64(data[at]) << 8
        return total
    piece = data[start:end]
    number = int.from_bytes(piece, "big") << (8 if len(piece) & 1 else 0)
    return (number % 65535 or 65535) if number else 0


def _fold(total: i64) -> i64:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _pseudo_sum(packet: Packet, length: i64) -> i64:
    return _sum(packet.src, 0, len(packet.src)) + _sum(packet.dst, 0, len(packet.dst)) + i64(packet.proto) + length


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
    return _fold(_sum(packet.frame, packet.ip, packet.ip + ((packet.frame[packet.ip] & 0x0F) << 2))) == 0xFFFF


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
    if _fold(pseudo + _sum(frame, packet.l4, packet.end)) == 0xFFFF:
        return True
    return field in (_fold(pseudo), _fold(pseudo - length))
