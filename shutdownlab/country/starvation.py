"""Whether all that carries packets had a processor when it wanted one: else a try that failed meanwhile says nothing.

A switch, a delay line or a server that waits for its turn answers late, or its socket runs over; with several on a way
a packet is later than a probe waits. Controls between two tries do not show it where it comes and goes. The kernel
knows: it counts for how long each process could have run and did not.

Who ends a connection and begins another in its place (a TLS proxy) keeps what has come while it waits, and passes it on
all at once: it makes a slow line look fast as well. And an on-path box that waits loses its race: what it blocks gets
through.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import sub
from types import TracebackType
from typing import Final, Self

from shutdownlab.system.processor import ThreadsWaitedTime, WaitedTimes, had_none, had_none_for, wait_for_its_turn

EVERY_S: Final = 0.1
_OF_LEAD: Final = 0.75
"""Of an on-path box's lead, how long it may have waited from one look to the next, and come in time: the rest is for
its work. In a whole try it is more than that on any busy machine, and has lost no race."""
_LEAST_S: Final = 0.002
"""So long any box may have waited: all wait for less now and then, and lose or win by other things."""
_TURN_S: Final = 1.0
"""For how long such a box is waited for that has not had its turn yet."""
_SHARE: Final = 0.5
"""Of the patience of a step, how long a process may have waited for its turn. A machine with ten times as much to do
as it can keeps one from that in 2 of 100 half seconds, as it was measured."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """A process that waited for so much (0 to 1) of the time from one look to another, by the looks' numbers."""

    first: int
    last: int
    process: int
    share: float


@dataclass(slots=True)
class _Watch:
    """The waits that matter to steps of one patience, as far as they have been looked for."""

    waits: list[_Wait] = field(default_factory=list)
    until: int = 1  # the look that comes next


class Starvation:
    """Looks at processes, by process id, what to call them, again and again from now on until it is left.

    keepers: those of them that end connections and begin others, in threads.
    """

    def __init__(self, processes: Mapping[int, str], keepers: Collection[int] = ()) -> None:
        simple = [pid for pid in processes if pid not in keepers]
        self._first_keeper = len(simple)
        self._places = {pid: place for place, pid in enumerate((*simple, *keepers))}
        self._titles = tuple(processes[pid] for pid in self._places)
        self._processes = WaitedTimes(simple)
        self._keepers = [ThreadsWaitedTime(pid) for pid in keepers]
        self._times: list[float] = []
        self._waited: list[list[float]] = []
        self._watches: defaultdict[float, _Watch] = defaultdict(_Watch)
        self._look(time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._processes.__exit__(kind, e, trace)

    def look(self) -> None:
        """See how long each has waited; at most every 0.1 s."""
        now = time.monotonic()
        if now >= self._times[-1] + EVERY_S:
            self._look(now)

    def between(self, began: float, ended: float, patience: float) -> str:
        """Who waited for half of so many seconds or more somewhere between two moments: a sentence, "" of nobody.

        By the clock of `time.monotonic`; `ended` is not yet to come.
        """
        patience = max(1, int(patience / EVERY_S)) * EVERY_S  # few of them, that each look is worked out for
        if self._times[-1] < ended - EVERY_S / 2:
            self._look(time.monotonic())
        first = max(0, bisect_right(self._times, began) - 1)
        last = min(bisect_left(self._times, ended), len(self._times) - 1)
        if self._times[last] - self._times[first] < patience:
            worst = self._longest(first, last, patience)
        else:
            waits = (wait for wait in self._waits(patience) if first <= wait.first and wait.last <= last)
            worst = max(waits, key=lambda wait: wait.share, default=None)
        if worst is None or worst.share < _SHARE:
            return ""
        return f"{self._titles[worst.process]} {had_none(worst.share)}"

    def held_up(self, began: float, ended: float, seconds: float, *, keepers: bool) -> str:
        """Who waited for so many seconds or more in all between two moments: a sentence, "" of nobody.

        keepers: only those who keep what comes meanwhile. By the clock of `time.monotonic`; `ended` is not yet to come.
        """
        waited = self._between(began, ended)
        from_ = self._first_keeper if keepers else 0
        longest = max(waited[from_:], default=0.0)
        if longest < max(seconds, EVERY_S):  # as short a wait is nothing unusual, nor told to be of this very moment
            return ""
        return f"{self._titles[waited.index(longest, from_)]} {had_none_for(longest)}"

    def came_late(self, process: int | None, lead: float | None, began: float, ended: float) -> str:
        """That an on-path box waited for so long between two moments that it can have lost its race; "": it did not.

        Many short waits lose none; one that is not over is waited for. process: its id, one that is looked at; None:
        there is no such box. lead: seconds that it is ahead of whom it races (`compiler.races`); None: it races nobody.
        By the clock of `time.monotonic`; `ended` is not yet to come.
        """
        if process is None or lead is None:
            return ""
        if self._times[-1] < ended + EVERY_S:
            wait_for_its_turn(process, _TURN_S)
        place, (first, last) = self._places[process], self._looks(began, ended + EVERY_S)
        waits = (self._waited[look + 1][place] - self._waited[look][place] for look in range(first, last))
        longest = max(waits, default=0.0)
        late = longest >= max(_OF_LEAD * lead, _LEAST_S)
        return f"{self._titles[place]} {had_none_for(longest)}" if late else ""

    def _between(self, began: float, ended: float) -> list[float]:
        """How long each waited from the look before one moment to that after another."""
        first, last = self._looks(began, ended)
        return list(map(sub, self._waited[last], self._waited[first]))

    def _looks(self, began: float, ended: float) -> tuple[int, int]:
        """The numbers of the look before one moment and of that after another."""
        if self._times[-1] < ended:
            self._look(time.monotonic())
        first = max(0, bisect_right(self._times, began) - 1)
        return first, min(bisect_left(self._times, ended), len(self._times) - 1)

    def _waits(self, patience: float) -> list[_Wait]:
        """Whoever waited for long within a patience, in the order of its end: each look is worked out once."""
        watch = self._watches[patience]
        for last in range(watch.until, len(self._times)):
            first = bisect_right(self._times, self._times[last] - patience) - 1
            if first >= 0:
                wait = self._longest(first, last, patience)
                if wait is not None and wait.share >= _SHARE:
                    watch.waits.append(wait)
        watch.until = len(self._times)
        return watch.waits

    def _longest(self, first: int, last: int, patience: float) -> _Wait | None:
        """Who waited longest from one look to another; None: there is nobody."""
        waited = list(map(sub, self._waited[last], self._waited[first]))
        longest = max(waited, default=0.0)
        if not longest:
            return None
        span = max(patience, self._times[last] - self._times[first])
        return _Wait(first, last, waited.index(longest), longest / span)

    def _look(self, now: float) -> None:
        self._times.append(now)
        self._waited.append([*self._processes.read(), *(each.read() for each in self._keepers)])
