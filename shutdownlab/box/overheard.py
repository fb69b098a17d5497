"""The copies of both directions' frames that an on-path box receives, in the order in which the kernel got them.

The two directions of a connection are queued in two sockets. Read one after the other, an answer could come before its
request, and the box would take the server for the initiator of the connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from shutdownlab.inspection.verdict import Side
from shutdownlab.system.packet_socket import Batch, PacketSocket

_BATCH: Final = 32


class Overheard:
    """The frames queued at a box's two wires, which must be opened with timestamps."""

    def __init__(self, wires: Sequence[PacketSocket]) -> None:
        self._wires = wires
        self._batches = tuple(Batch(_BATCH, stamped=True) for _ in Side)
        self._next = [0 for _ in Side]
        self._read_at = [0 for _ in Side]
        self._reads = 0
        self.drained = False
        """Whether the last `take` found the sockets empty in the end."""
        self.latest_ns = 0
        """When the frame taken last came, in ns since 1970: none that is left came earlier."""

    @property
    def waits(self) -> bool:
        """Whether frames have been read from the sockets but not taken yet."""
        return any(map(self._has, Side))

    def take(self, most: int = 2 * _BATCH) -> Iterator[tuple[Side, Batch, int]]:
        """Yields at most `most` frames, oldest first: the side each came from, and the batch and index to load."""
        self.drained = False
        for _ in range(most):
            side = self._oldest()
            if side is None:
                self.drained = True
                return
            self._next[side] += 1
            yield side, self._batches[side], self._next[side] - 1

    def _oldest(self) -> Side | None:
        """Returns the side with the oldest frame. An empty side is read again if its last read is the older one."""
        for side in Side:
            if not self._has(side):
                self._read(side)
        for side in Side:
            if not self._has(side) and self._read_at[side] < self._read_at[side.other]:
                self._read(side)
        waiting = [side for side in Side if self._has(side)]
        arrivals = {side: self._batches[side].came_ns(self._next[side]) for side in waiting}
        oldest = min(arrivals, key=arrivals.__getitem__, default=None)
        if oldest is not None:
            self.latest_ns = arrivals[oldest]
        return oldest

    def _has(self, side: Side) -> bool:
        return self._next[side] < self._batches[side].count

    def _read(self, side: Side) -> None:
        self._reads += 1
        self._read_at[side], self._next[side] = self._reads, 0
        self._batches[side].read(self._wires[side])
