"""Prepares a frame changed by the engine to be sent in place of the original. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import ETHER_QINQ, ETHER_VLAN, TCP, UDP
from shutdownlab.inspection.checksum import ones_sum, pseudo_header
from shutdownlab.system.vnet_header import HEADER, NO_OFFLOAD, unfinished_checksum

_PROTOCOL_OF_CHECKSUM_AT: Final = {16: TCP, 6: UDP}  # offsets of the checksum fields in TCP and UDP
_TAGS: Final = tuple(kind.to_bytes(2, "big") for kind in (ETHER_VLAN, ETHER_QINQ))


def replaced(raw: bytes, frame: bytes) -> bytes:
    """Returns `frame` behind a vnet header, ready to be sent in place of `raw`, which has one too.

    If the checksum of `raw` is partial (offload) and `frame` has its headers at the same offsets, the result's checksum
    is partial too, whatever its field holds (so an engine may edit frames without knowing about offload), and
    segmentation offload still applies. Any other `frame` must be complete.
    """
    place = unfinished_checksum(raw)
    if place is None:
        return NO_OFFLOAD + frame
    start, offset = place
    field = start + offset
    proto = _PROTOCOL_OF_CHECKSUM_AT.get(offset)
    if proto is None or field + 2 > len(frame):
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
