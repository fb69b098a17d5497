"""Parses MRT records (RFC 6396) and converts their times. Pure.

A record is a header of 12 octets (time, type, subtype, length), then the message, preceded by microseconds in the types
that end in _ET. A RIB entry of TABLE_DUMP_V2 also has the time at which the route was received.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

TABLE_DUMP_V2, BGP4MP, BGP4MP_ET = 13, 16, 17
_HEADER: Final = struct.Struct("!IHHI")
_RIBS: Final = range(2, 6)
"""RIB_IPV4_UNICAST to RIB_IPV6_MULTICAST (RFC 6396, section 4.3.2)."""
_MICROSECONDS: Final = 1_000_000
_KEEPALIVE: Final = b"\xff" * 16 + b"\x00\x13\x04"


class Record(NamedTuple):
    """An MRT record. `at`: seconds since the epoch, with microseconds if any; `body`: the message without them."""

    at: float
    kind: int
    subtype: int
    body: bytes

    @property
    def is_keepalive(self) -> bool:
        """Whether it is a BGP KEEPALIVE, which is a header and no more (RFC 4271, section 4.4)."""
        return self.kind in {BGP4MP, BGP4MP_ET} and self.body.endswith(_KEEPALIVE)


def records(data: bytes) -> tuple[list[Record], int]:
    """Parses the complete records at the start of `data`; returns them and their length in octets. The last record may
    be half written."""
    found, place = list[Record](), 0
    while len(data) - place >= _HEADER.size:
        at, kind, subtype, length = _HEADER.unpack_from(data, place)
        end = place + _HEADER.size + length
        if end > len(data):
            break
        body = data[place + _HEADER.size : end]
        fraction = 0.0
        if kind == BGP4MP_ET:
            fraction, body = int.from_bytes(body[:4]) / _MICROSECONDS, body[4:]
        found.append(Record(at + fraction, kind, subtype, body))
        place = end
    return found, place


def heard_in(messages: Iterable[Record], began: float, time: Callable[[float], float]) -> list[Record]:
    """Returns the messages of a phase, which began at the scenario's time `began`: all but KEEPALIVEs heard before it.

    Routes that changed after the previous phase's look are kept: in no other file they would be found.
    """
    return [each for each in messages if not (each.is_keepalive and time(each.at) < began)]


def put_into(record: Record, time: Callable[[float], float]) -> bytes:
    """Serialises a record with all its times converted by `time`, to the microsecond if it has microseconds."""
    at = time(record.at)
    body = record.body
    if record.kind == TABLE_DUMP_V2 and record.subtype in _RIBS:
        body = _rib(body, time)
    if record.kind == BGP4MP_ET:
        body = int(at % 1 * _MICROSECONDS).to_bytes(4) + body
    return _HEADER.pack(int(at), record.kind, record.subtype, len(body)) + body


def _rib(body: bytes, time: Callable[[float], float]) -> bytes:
    out = bytearray(body)
    for place in _entries(body):
        heard = int.from_bytes(body[place : place + 4])
        out[place : place + 4] = int(time(heard)).to_bytes(4)
    return bytes(out)


def _entries(body: bytes) -> Iterator[int]:
    """Yields the offset of the time of each RIB entry, after the sequence number, the prefix and the entry count."""
    place = 4 + 1 + (body[4] + 7) // 8
    count = int.from_bytes(body[place : place + 2])
    place += 2
    for _ in range(count):
        yield place + 2  # the peer's index
        place += 8 + int.from_bytes(body[place + 6 : place + 8])
