"""The `virtio_net_hdr` before a frame (`linux/virtio_net.h`): what the network card still has to do to it.

Ten bytes in the machine's byte order: flags, segmentation type, length of the headers, payload bytes per segment,
where the checksum starts and where, from there, its field is. An unfinished checksum's field holds the sum of the
pseudo-header. Everything here is pure; a `raw` is header + Ethernet frame.
"""

from __future__ import annotations

import struct
from typing import Final

from shutdownlab.config.numbers import ETHER_QINQ, ETHER_VLAN, TCP, UDP
from shutdownlab.inspection.checksum import ones_sum, pseudo_header

HEADER: Final = 10
"""Bytes of the header."""

NO_OFFLOAD: Final = bytes(HEADER)
"""The header of a frame that is complete as it is."""

NEEDS_CSUM: Final = 1
DATA_VALID: Final = 2

_FIELDS: Final = struct.Struct("=BBHHHH")
_PROTOCOL_OF_CHECKSUM_AT: Final = {16: TCP, 6: UDP}  # TCP's checksum field is its 16th byte, UDP's its 6th
_TAGS: Final = tuple(kind.to_bytes(2, "big") for kind in (ETHER_VLAN, ETHER_QINQ))


def with_tag(raw: bytes, tag: int) -> bytes:
    """Return `raw` with the VLAN tag `tag` (TPID << 16 | TCI) put in after the addresses."""
    flags, kind, header_length, segment, checksum_start, checksum_offset = _FIELDS.unpack_from(raw)
    header = _FIELDS.pack(
        flags,
        kind,
        header_length + 4 if header_length else 0,
        segment,
        checksum_start + 4 if flags & NEEDS_CSUM else 0,
        checksum_offset,
    )
    at = HEADER + 12
    return header + raw[HEADER:at] + struct.pack("!HH", tag >> 16, tag & 0xFFFF) + raw[at:]


def line_bytes(raw: bytes) -> int:
    """Return how many bytes the frame is on a real line: its headers once for every segment it stands for."""
    _, kind, header_length, segment, _, _ = _FIELDS.unpack_from(raw)
    length = len(raw) - HEADER
    if not kind or not segment or length <= header_length:
        return length
    segments = -(-(length - header_length) // segment)
    return length + int(segments - 1) * int(header_length)


def replaced(raw: bytes, frame: bytes) -> bytes:
    """Return `frame` ready to be sent in the place of `raw`.

    Where `raw`'s checksum was unfinished and `frame` has its headers in the same place, it is left to be finished in
    the same way, whatever its field says now (so an engine may edit a frame without knowing about offload), and a
    segmentation-offload frame is still cut. Any other `frame` must be complete.
    """
    flags, _, _, _, start, offset = _FIELDS.unpack_from(raw)
    field = start + offset
    proto = _PROTOCOL_OF_CHECKSUM_AT.get(offset)
    if not flags & NEEDS_CSUM or proto is None or field + 2 > len(frame):
        return NO_OFFLOAD + frame
    ip = 18 if frame[12:14] in _TAGS else 14
    if frame[ip] >> 4 == 4:
        same_place = ip + (frame[ip] & 15) * 4 == start and frame[ip + 9] == proto
        src, dst = frame[ip + 12 : ip + 16], frame[ip + 16 : ip + 20]
        end = ip + int.from_bytes(frame[ip + 2 : ip + 4], "big")
    else:
        same_place = ip + 40 <= start
        src, dst = frame[ip + 8 : ip + 24], frame[ip + 24 : ip + 40]
        end = ip + 40 + int.from_bytes(frame[ip + 4 : ip + 6], "big")
    if not same_place or end > len(frame):
        return NO_OFFLOAD + frame
    unfinished = ones_sum(pseudo_header(src, dst, proto, end - start))
    return raw[:HEADER] + frame[:field] + unfinished.to_bytes(2, "big") + frame[field + 2 :]
