"""Reassembles one direction of a TCP connection as a box does: by arrival, in order only, or fully, with overlaps.

Positions are counted from the first expected byte, so sequence numbers may wrap (RFC 9293 §3.4). Memory is bounded by
the inspection budget plus `gap` + 65,536 bytes out of order.
"""

from __future__ import annotations

from typing import Final

MAX_PENDING: Final = 512
"""The most out-of-order segments kept; the box loses further ones."""


class Stream:
    """The assembled beginning (`data`: `limit` bytes, and what else arrives in order with the last of them) of one
    direction, and the state to continue it."""

    __slots__ = (
        "at",
        "begin",
        "data",
        "fin",
        "keep_last",
        "known",
        "limit",
        "next_seq",
        "pending",
        "pending_bytes",
        "segments",
    )

    def __init__(self, limit: int, keep_last: bool) -> None:
        self.known = False
        """Whether the next sequence number is known."""
        self.next_seq = 0
        self.at = 0
        """Position in the stream up to which all bytes have arrived."""
        self.begin = 0
        """Position of the first byte kept in `data`; beyond `at` while the next bytes are to be skipped."""
        self.data = b""
        """The first bytes from `begin` on, as far as they have arrived: at least `limit` of them. What arrives with the
        last of these is kept too, as another message may begin in it."""
        self.limit = limit
        self.keep_last = keep_last
        self.pending: list[tuple[int, bytes]] = []
        self.pending_bytes = 0
        self.segments = 0
        self.fin = False

    def start(self, next_seq: int) -> None:
        """Restarts at a sequence number and discards what was assembled."""
        self.known = True
        self.next_seq = next_seq & 0xFFFFFFFF
        self.at = 0
        self.begin = 0
        self.data = b""
        if self.pending:
            self.pending = []
            self.pending_bytes = 0
        self.segments = 0

    def drop(self, count: int) -> None:
        """Discards the first `count` bytes kept, including any that have yet to arrive."""
        self.begin += count
        self.data = self.data[count:]

    def distance(self, seq: int) -> int:
        """Returns how far `seq` is ahead of the next expected sequence number, -2^31 to 2^31 - 1."""
        ahead = (seq - self.next_seq) & 0xFFFFFFFF
        return ahead - 0x100000000 if ahead >= 0x80000000 else ahead

    def in_order(self, seq: int, payload: bytes, length: int) -> bool:
        """Takes a segment only if it has the next byte, even behind retransmitted ones; returns whether it did."""
        ahead = self.distance(seq)
        if ahead > 0 or ahead + length <= 0:
            return False
        self._append(payload[-ahead:] if ahead else payload, length + ahead, len(self.data) < self.limit)
        return True

    def arrival(self, payload: bytes) -> bool:
        """Appends the payload whatever its sequence number, as boxes do that only read the first packets.

        Returns whether `data` had room.
        """
        room = self.limit - len(self.data)
        if room > 0:
            self.data += payload[:room]
        self.segments += 1
        return room > 0

    def full(self, seq: int, payload: bytes, length: int, gap: int) -> bool:
        """Takes a segment at any position; returns whether the in-order stream grew.

        `length` is the segment's length on the wire, of which a truncated capture has fewer bytes in `payload`. `gap`:
        bytes ahead of the next one within which a segment must start to be kept.
        """
        ahead = self.distance(seq)
        if ahead + length <= 0:
            return False
        if ahead <= 0 and not self.pending:
            self._append(payload[-ahead:] if ahead else payload, length + ahead, len(self.data) < self.limit)
            return True
        if len(payload) < length:
            payload = payload + bytes(length - len(payload))
        if ahead > gap or self.pending_bytes + length > gap + 65536 or len(self.pending) >= MAX_PENDING:
            return False
        if ahead < 0:
            payload = payload[-ahead:]
            ahead = 0
        self._insert(self.at + ahead, payload)
        return self._drain()

    def _append(self, payload: bytes, length: int, has_room: bool) -> None:
        ahead = self.begin - self.at
        kept = payload if ahead <= 0 else payload[ahead:]
        # After a hole left by a truncated capture nothing is appended: later bytes would be out of place.
        if has_room and ahead < length and len(self.data) == max(-ahead, 0):
            if ahead == 0:
                self.data = kept
            else:
                self.data += kept
        self.at += length
        self.next_seq = (self.next_seq + length) & 0xFFFFFFFF
        self.segments += 1

    def _insert(self, start: int, payload: bytes) -> None:
        """Adds a segment to the pending ones, kept sorted and without overlaps, by the box's overlap policy."""
        end = start + len(payload)
        result: list[tuple[int, bytes]] = []
        if self.keep_last:
            for other, data in self.pending:
                stop = other + len(data)
                if stop <= start or other >= end:
                    result.append((other, data))
                    continue
                if other < start:
                    result.append((other, data[: start - other]))
                if stop > end:
                    result.append((end, data[end - other :]))
            result.append((start, payload))
        else:
            at = start
            for other, data in self.pending:
                stop = other + len(data)
                result.append((other, data))
                if stop <= at or other >= end:
                    continue
                if other > at:
                    result.append((at, payload[at - start : other - start]))
                at = stop
            if at < end:
                result.append((at, payload[at - start :]))
        result.sort(key=_position)
        self.pending = result
        self.pending_bytes = sum([len(data) for _, data in result])

    def _drain(self) -> bool:
        grew = False
        has_room = len(self.data) < self.limit
        pending = self.pending
        count = 0
        while count < len(pending) and pending[count][0] <= self.at:
            data = pending[count][1]
            self._append(data, len(data), has_room)
            count += 1
            grew = True
        if count:
            self.pending = pending[count:]
            self.pending_bytes = sum([len(data) for _, data in self.pending])
        return grew


def _position(segment: tuple[int, bytes]) -> int:
    return segment[0]
