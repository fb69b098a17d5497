"""The `virtio_net_hdr` before a frame (`linux/virtio_net.h`): the offload work still to be done by the network card.

Ten bytes in the machine's byte order: flags, segmentation type, length of the headers, payload bytes per segment,
checksum start, and the checksum field's offset from there. The field of an unfinished checksum holds the sum of the
pseudo-header. All functions are pure; `raw` is header + Ethernet frame.
"""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = 10
"""Bytes of the header."""

NO_OFFLOAD: Final = bytes(HEADER)
"""The header of a frame that needs no offload."""

NEEDS_CSUM: Final = 1
DATA_VALID: Final = 2

_FIELDS: Final = struct.Struct("=BBHHHH")


def with_tag(raw: bytes, tag: int) -> bytes:
    """Returns `raw` with the VLAN tag `tag` (TPID << 16 | TCI) inserted after the MAC addresses."""
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
    """Returns how many bytes the frame takes on a physical link, with its headers repeated for every segment."""
    _, kind, header_length, segment, _, _ = _FIELDS.unpack_from(raw)
    length = len(raw) - HEADER
    if not kind or not segment or length <= header_length:
        return length
    segments = -(-(length - header_length) // segment)
    return length + int(segments - 1) * int(header_length)


def unfinished_checksum(raw: bytes) -> tuple[int, int] | None:
    """Returns where the unfinished checksum starts, and its field's offset from there; None if there is none."""
    flags, _, _, _, start, offset = _FIELDS.unpack_from(raw)
    return (start, offset) if flags & NEEDS_CSUM else None
