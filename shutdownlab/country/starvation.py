"""Whether all that carries packets had a processor when it wanted one: else a try that failed meanwhile says nothing.

A switch, a delay line or a server that waits for its turn answers late, or its socket runs over; with several on a way
a packet is later than a probe waits. Controls between two tries do not show it where it comes and goes. The kernel
knows: it counts for how long each process could have run and did not.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Final

from shutdownlab.system.processor import had_none, waited_s

EVERY_S: Final = 0.1
_SHARE: Final = 0.5
"""Of the patience of a step, how long a process may have waited for its turn. A machine with ten times as much to do
as it can keeps one from that in 2 of 100 half seconds, as it was measured."""


class Starvation:
    """Looks at processes, by process id, what to call them, again and again from now on."""

    def __init__(self, processes: Mapping[int, str]) -> None:
        self._titles = dict(processes)
        self._times: list[float] = []
        self._waited: dict[int, list[float]] = {pid: [] for pid in processes}
        self._look(time.monotonic())

    def look(self) -> None:
        """See how long each has waited; at most every 0.1 s."""
        now = time.monotonic()
        if now >= self._times[-1] + EVERY_S:
            self._look(now)

    def between(self, began: float, ended: float, patience: float) -> str:
        """Who waited for half of so many seconds or more somewhere between two moments: a sentence, "" of nobody.

        By the clock of `time.monotonic`; `ended` is not yet to come.
        """
        if self._times[-1] < ended - EVERY_S / 2:
            self._look(time.monotonic())
        first = max(0, bisect_right(self._times, began) - 1)
        last = min(bisect_left(self._times, ended), len(self._times) - 1)
        worst, share = 0, 0.0
        for start in range(first, last):
            end = min(last, bisect_left(self._times, self._times[start] + patience))
            span = max(patience, self._times[end] - self._times[start])
            for pid, waited in self._waited.items():
                if (waited[end] - waited[start]) / span > share:
                    worst, share = pid, (waited[end] - waited[start]) / span
        if share < _SHARE:
            return ""
        return f"{self._titles[worst]} {had_none(share)}"

    def _look(self, now: float) -> None:
        self._times.append(now)
        for pid, waited in self._waited.items():
            waited.append(max(waited_s(pid), waited[-1] if waited else 0.0))  # one that is no more waits no more
