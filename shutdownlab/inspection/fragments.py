"""Reassembles IP fragments as a box does (RFC 791, RFC 8200 §4.5), within the profile's limits."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.packet import Packet, decode_ip
from shutdownlab.inspection.profile import IpModel

MAX_DATAGRAM: Final = 65535


class Datagram:
    """A datagram of which some fragments have arrived."""

    __slots__ = ("born", "broken", "count", "first", "frames", "pieces", "total")

    def __init__(self, now: float) -> None:
        self.born = now
        self.pieces: list[tuple[int, bytes]] = []
        self.total = -1
        self.count = 0
        self.first: Packet | None = None
        self.frames: list[bytes] = []
        """The frames as they arrived, if the box holds fragments back."""
        self.broken = False


class Fragments:
    """All incomplete datagrams of a box."""

    __slots__ = ("given_up", "model", "table")

    def __init__(self, model: IpModel) -> None:
        self.model = model
        self.table: dict[bytes, Datagram] = {}
        self.given_up = 0
        """Incomplete or broken datagrams that timed out or were evicted by newer ones."""

    def add(self, packet: Packet, now: float) -> tuple[Packet | None, list[bytes]]:
        """Takes a fragment; returns the datagram once it is complete, and its held frames including this one.

        The packet is None while the datagram is incomplete; the list is empty unless the profile has `hold`.
        """
        proto = packet.proto if packet.version == 4 else 0
        key = packet.src + packet.dst + packet.fragment_id.to_bytes(4, "big") + bytes((proto,))
        datagram = self.table.get(key)
        if datagram is not None and now - datagram.born > self.model.timeout:
            del self.table[key]
            self.given_up += 1
            datagram = None
        if datagram is None:
            if len(self.table) >= self.model.datagrams:
                del self.table[next(iter(self.table))]
                self.given_up += 1
            datagram = self.table[key] = Datagram(now)
        start = packet.fragment_offset
        data = packet.frame[packet.l4 : packet.captured_end]
        if packet.captured_end < packet.end or start + len(data) > MAX_DATAGRAM:
            datagram.broken = True
        datagram.count += 1
        if self.model.hold:
            datagram.frames.append(packet.frame)
        if not datagram.broken and not self._insert(datagram, start, data):
            datagram.broken = True
        if datagram.count > self.model.max_fragments:
            datagram.broken = True
        if start == 0 and datagram.first is None:
            datagram.first = packet
        if not packet.fragment_more:
            datagram.total = start + len(data)
        if datagram.broken:
            datagram.pieces = []
            datagram.frames = []
            return None, []
        if datagram.total < 0 or datagram.first is None or not _complete(datagram):
            return None, []
        del self.table[key]
        return _whole(datagram), datagram.frames

    def _insert(self, datagram: Datagram, start: int, data: bytes) -> bool:
        """Adds a piece by the overlap policy; returns False if the datagram must be discarded."""
        end = start + len(data)
        result: list[tuple[int, bytes]] = []
        policy = self.model.overlap
        pieces = [(start, data)] if policy != "last" else []
        for other, piece in datagram.pieces:
            stop = other + len(piece)
            if stop <= start or other >= end:
                result.append((other, piece))
                continue
            if policy == "discard":
                return False
            if policy == "first":
                result.append((other, piece))
                remaining: list[tuple[int, bytes]] = []
                for at, part in pieces:
                    until = at + len(part)
                    if until <= other or at >= stop:
                        remaining.append((at, part))
                        continue
                    if at < other:
                        remaining.append((at, part[: other - at]))
                    if until > stop:
                        remaining.append((stop, part[stop - at :]))
                pieces = remaining
            else:
                if other < start:
                    result.append((other, piece[: start - other]))
                if stop > end:
                    result.append((end, piece[end - other :]))
        if policy == "last":
            result.append((start, data))
        else:
            result.extend(pieces)
        result.sort(key=_position)
        datagram.pieces = result
        return True

    def expire(self, now: float) -> int:
        """Drops datagrams that have timed out; returns how many."""
        over = [key for key, datagram in self.table.items() if now - datagram.born > self.model.timeout]
        for key in over:
            del self.table[key]
        self.given_up += len(over)
        return len(over)


def _position(piece: tuple[int, bytes]) -> int:
    return piece[0]


def _complete(datagram: Datagram) -> bool:
    at = 0
    for start, data in datagram.pieces:
        if start != at:
            return False
        at += len(data)
    return at >= datagram.total


def _whole(datagram: Datagram) -> Packet:
    """Returns the datagram as if it had never been fragmented, with the first fragment's link header."""
    first = datagram.first
    assert first is not None
    body = b"".join([data for _, data in datagram.pieces])[: datagram.total]
    if first.version == 4:
        header = bytearray(first.frame[first.ip : first.l4])
        total = len(header) + len(body)
        header[2:4] = min(total, 65535).to_bytes(2, "big")
        header[6:8] = b"\0\0"
        if total > 65535:
            body = body[: 65535 - len(header)]
    else:
        header = bytearray(first.frame[first.ip : first.ip + 40])
        header[6] = first.proto
        header[4:6] = min(len(body), 65535).to_bytes(2, "big")
    frame = first.frame[: first.ip] + bytes(header) + body
    whole = decode_ip(frame, first.ip)
    whole.reassembled = True
    return whole
