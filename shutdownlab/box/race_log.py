"""How long an on-path box took from a frame's arrival to its own frames that answer it: whether it can have won a race.

Whatever delays a box shows in this time: too little CPU, a freezer, a slow engine, memory that was swapped out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final, TypeAlias

_KEPT: Final = 16384
"""Injections remembered."""

_Ends: TypeAlias = tuple[bytes, bytes]
"""The addresses of a packet, packed."""


class RaceLog:
    """The latest injections of a box: when each was sent, how long it took, and the ends of the packet it answers."""

    def __init__(self) -> None:
        self._run: deque[tuple[float, float, _Ends]] = deque(maxlen=_KEPT)

    def note(self, came_ns: int, ends: _Ends) -> None:
        """Notes an injection that has just been sent. came_ns: when the kernel got its cause, in ns since 1970."""
        seconds = abs(time.time_ns() - came_ns) / 1e9  # negative if the clock was set back meanwhile: nothing is known
        self._run.append((time.monotonic(), seconds, ends))

    def since(self, moment: float, ends: Collection[str] = ()) -> tuple[int, float]:
        """Returns how many injections were sent since a moment (by `time.monotonic`), and the seconds the slowest took.

        ends: count only answers to packets from or to one of these addresses; empty: all.
        """
        wanted = frozenset(ip_address(end).packed for end in ends)
        count, slowest = 0, 0.0
        for sent, seconds, between in reversed(self._run):
            if sent < moment:
                return count, slowest
            if not wanted or not wanted.isdisjoint(between):
                count, slowest = count + 1, max(slowest, seconds)
        if len(self._run) == _KEPT:  # earlier ones are forgotten
            return count + 1, max(slowest, time.monotonic() - moment)
        return count, slowest
