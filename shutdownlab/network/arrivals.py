"""Merges the frames of many packet sockets in the order in which the kernel received them."""

from __future__ import annotations

import socket
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import Final, Generic, TypeVar

from shutdownlab.network.pcapng import LONGEST_FRAME

SETTLED_S: Final = 0.02
"""Time after a frame's arrival, in seconds, at which all frames that arrived before it have reached their sockets."""
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_FOREVER_NS: Final = 1 << 62

Tag = TypeVar("Tag")


def stamp(opened: socket.socket) -> None:
    """Makes the kernel timestamp each frame that the socket receives."""
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class Arrivals(Generic[Tag]):
    """A reorder buffer: holds frames, each with a tag, until no earlier frame can still arrive.

    In each round: note the time, find the ready sockets, `read` each of them, and take the `settled` frames.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, Tag, bytes]] = []

    def __len__(self) -> int:
        """Number of frames held; if there are any, another round is due after `SETTLED_S`."""
        return len(self._held)

    def read(self, opened: socket.socket, tag: Tag, began_ns: int | None) -> None:
        """Reads frames from a ready socket, at least all that arrived by `began_ns`, the round's time (None: all)."""
        until = _FOREVER_NS if began_ns is None else began_ns
        at_ns = 0
        while at_ns <= until:
            try:
                frame, ancillary, _, _ = opened.recvmsg(LONGEST_FRAME, socket.CMSG_SPACE(_TIMESPEC.size))
            except (BlockingIOError, OSError):
                return
            at_ns = time.time_ns()
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                    seconds, rest = _TIMESPEC.unpack_from(value)
                    at_ns = seconds * 1_000_000_000 + rest
            self._held.append((at_ns, tag, frame))

    def settled(self, began_ns: int | None) -> Iterator[tuple[int, Tag, bytes]]:
        """Removes and yields the frames whose order is final, oldest first: arrival time (ns since 1970), tag, frame.

        began_ns: the round's time; None for all frames.
        """
        self._held.sort(key=itemgetter(0))
        by = _FOREVER_NS if began_ns is None else began_ns - int(SETTLED_S * 1e9)
        count = bisect_right(self._held, by, key=itemgetter(0))
        yield from self._held[:count]
        del self._held[:count]
