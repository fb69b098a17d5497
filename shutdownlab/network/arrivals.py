"""Frames of many packet sockets in the order in which the kernel got them, whichever socket they wait in."""

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
"""So long after a frame has come, none that came before it is still on its way to a socket."""
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_FOREVER_NS: Final = 1 << 62

Tag = TypeVar("Tag")


def stamp(opened: socket.socket) -> None:
    """Have the kernel tell of each frame when it came."""
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


class Arrivals(Generic[Tag]):
    """Frames that have been read, each with a tag, until it is sure that none before them is still to come.

    A round: note the time, see which sockets are ready, `read` each of them, and take what is `settled`.
    """

    def __init__(self) -> None:
        self._held: list[tuple[int, Tag, bytes]] = []

    def __len__(self) -> int:
        """How many wait: if any, another round is due after `SETTLED_S`."""
        return len(self._held)

    def read(self, opened: socket.socket, tag: Tag, began_ns: int | None) -> None:
        """Read what waits in a socket that was ready: all that came by `began_ns`, the round's time (None: all)."""
        until = _FOREVER_NS if began_ns is None else began_ns
        at_ns = 0
        while at_ns <= until:
            try:
                frame, told, _, _ = opened.recvmsg(LONGEST_FRAME, socket.CMSG_SPACE(_TIMESPEC.size))
            except (BlockingIOError, OSError):
                return
            at_ns = time.time_ns()
            for level, kind, value in told:
                if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) >= _TIMESPEC.size:
                    seconds, rest = _TIMESPEC.unpack_from(value)
                    at_ns = seconds * 1_000_000_000 + rest
            self._held.append((at_ns, tag, frame))

    def settled(self, began_ns: int | None) -> Iterator[tuple[int, Tag, bytes]]:
        """What is in its final order, oldest first: when it came (ns since 1970), its tag, the frame. None: all."""
        self._held.sort(key=itemgetter(0))
        by = _FOREVER_NS if began_ns is None else began_ns - int(SETTLED_S * 1e9)
        count = bisect_right(self._held, by, key=itemgetter(0))
        yield from self._held[:count]
        del self._held[:count]
