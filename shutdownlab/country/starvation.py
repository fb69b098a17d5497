"""Samples how long the processes that carry packets could not run: a try that failed meanwhile may be void.

If a switch, a delay line or a server waits for a CPU, it answers late, or its socket buffer overflows; with several on
a path, a packet arrives after the probe's timeout. Controls between two tries miss this if it comes and goes. The
kernel counts for how long each process was runnable without running. One that is stopped, frozen by a control group, or
waits for memory or a page of its own, does no more than that, and counts as waiting.

A process that terminates connections and opens others in their place (a TLS proxy) buffers bytes while it waits and
then sends them all at once, so it can also make a slow line look fast. And what forwards the frames of an on-path box
may forward the server's answer first if it waits: what the box should block gets through.
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
OF_LEAD: Final = 0.75
"""Part of an on-path box's lead that it, or its switch, may have lost and still be in time: the rest is for its work.

Over a whole try, a process waits longer than that on any busy machine without losing a race.
"""
_LEAST_S: Final = 0.002
"""Seconds that any switch may have waited: shorter waits are common and do not decide a race."""
_TURN_S: Final = 1.0
"""For how long to wait for such a switch to run, if it is still waiting for a CPU."""
_SHARE: Final = 0.5
"""Part of a step's timeout for which a process may have waited for a CPU.

On a machine with ten times as much to do as it can, a process waited longer in 2 of 100 measured half seconds.
"""


@dataclass(frozen=True, slots=True)
class _Wait:
    """A process that waited for a CPU for `share` (0 to 1) of the time between two samples, given by number."""

    first: int
    last: int
    process: int
    share: float


@dataclass(slots=True)
class _Watch:
    """The waits that matter to steps with one timeout, as far as samples have been evaluated."""

    waits: list[_Wait] = field(default_factory=list)
    until: int = 1  # the next sample to evaluate


class Starvation:
    """Samples how long each process waited for a CPU, from now until the context exits.

    processes: what to call each one, by process id. keepers: those of them that terminate connections and open others,
    in several threads.
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
        for keeper in self._keepers:
            keeper.__exit__(kind, e, trace)

    def look(self) -> None:
        """Samples how long each process has waited; at most every 0.1 s."""
        now = time.monotonic()
        if now >= self._times[-1] + EVERY_S:
            self._look(now)

    def between(self, began: float, ended: float, patience: float) -> str:
        """Returns a sentence naming a process that waited for a CPU for at least half of `patience` seconds, or "".

        Considers any `patience` seconds between `began` and `ended`, by `time.monotonic`; `ended` is not in the future.
        """
        # rounded, so that few different values must be evaluated for each sample
        patience = max(1, int(patience / EVERY_S)) * EVERY_S
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
        """Returns a sentence naming a process that waited for `seconds` or more in total between two times, or "".

        keepers: only processes that buffer bytes meanwhile. Times are by `time.monotonic`; `ended` is not in the
        future.
        """
        waited = self._between(began, ended)
        from_ = self._first_keeper if keepers else 0
        longest = max(waited[from_:], default=0.0)
        if longest < max(seconds, EVERY_S):  # a wait that short is common, and may not have been in this interval
            return ""
        return f"{self._titles[waited.index(longest, from_)]} {had_none_for(longest)}"

    def came_late(self, process: int | None, lead: float | None, began: float, ended: float) -> str:
        """Returns a sentence if a process waited so long without a break that a race may have been lost, else "".

        Many short waits lose none. A wait that is not over is waited for. process: the id of one that forwards an
        on-path box's frames, one of those sampled; None: there is none. lead: seconds by which the box is ahead of its
        rival (`compiler.races`); None: it has none. Times are by `time.monotonic`; `ended` is not in the future.
        """
        if process is None or lead is None:
            return ""
        if self._times[-1] < ended + EVERY_S:
            wait_for_its_turn(process, _TURN_S)
        place, (first, last) = self._places[process], self._looks(began, ended + EVERY_S)
        waits = (self._waited[look + 1][place] - self._waited[look][place] for look in range(first, last))
        longest = max(waits, default=0.0)
        late = longest >= max(OF_LEAD * lead, _LEAST_S)
        return f"{self._titles[place]} {had_none_for(longest)}" if late else ""

    def _between(self, began: float, ended: float) -> list[float]:
        """Returns how long each waited from the sample before `began` to the sample after `ended`."""
        first, last = self._looks(began, ended)
        return list(map(sub, self._waited[last], self._waited[first]))

    def _looks(self, began: float, ended: float) -> tuple[int, int]:
        """Returns the numbers of the sample before `began` and of the sample after `ended`."""
        if self._times[-1] < ended:
            self._look(time.monotonic())
        first = max(0, bisect_right(self._times, began) - 1)
        return first, min(bisect_left(self._times, ended), len(self._times) - 1)

    def _waits(self, patience: float) -> list[_Wait]:
        """Returns the long waits within one `patience`, ordered by their end; evaluates each sample once."""
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
        """Returns the longest wait between two samples; None if no process waited."""
        waited = list(map(sub, self._waited[last], self._waited[first]))
        longest = max(waited, default=0.0)
        if not longest:
            return None
        span = max(patience, self._times[last] - self._times[first])
        return _Wait(first, last, waited.index(longest), longest / span)

    def _look(self, now: float) -> None:
        self._times.append(now)
        self._waited.append([*self._processes.read(), *(each.read() for each in self._keepers)])
