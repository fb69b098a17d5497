"""Timeouts for a probe's steps that count only the time in which the agent could have received an answer.

An agent that is starved of CPU, or busy with its other probes, receives nothing. It finds what arrived meanwhile when
it continues, but in the same iteration of its event loop its timers expire too. So an expired timer alone proves
nothing: time in which the agent was away, beyond the usual, is added back, and only silence after that counts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from shutdownlab.model.probe import MOST_PATIENCE
from shutdownlab.system.processor import waited_s

_LEAST_S: Final = 0.01
"""Timers always expire a little late."""
_LOOK_S: Final = 0.02
_USUAL: Final = 0.5
"""Part of a step's timeout for which an agent usually waits for a CPU if only the run keeps the machine busy.

The timeout already includes it; adding it back made a blackout's silence half as long again.
"""


@asynccontextmanager
async def patience(seconds: float, waited: Callable[[], float] | None = None) -> AsyncIterator[Patience]:
    """Raises TimeoutError, like `asyncio.timeout`, after `seconds` in which the measuring processes could receive.

    waited: returns for how many seconds they have been starved of CPU so far (None: only this process measures).
    """
    async with asyncio.timeout(None) as limit:
        waiting = Patience(limit, seconds, waited or waited_s)
        try:
            yield waiting
        finally:
            waiting.end()


class Patience:
    """Makes `limit` expire when the time is up."""

    def __init__(self, limit: asyncio.Timeout, seconds: float, waited: Callable[[], float]) -> None:
        self._loop, self._limit, self._waits = asyncio.get_running_loop(), limit, waited
        self._left = (MOST_PATIENCE - 1) * seconds
        self._begin(seconds, usual=_USUAL * seconds)

    def renew(self, seconds: float) -> None:
        """Restarts the timeout with `seconds` from now, whatever is left of it."""
        self.end()
        self._left = (MOST_PATIENCE - 1) * seconds
        self._begin(seconds, usual=_USUAL * seconds)

    def reschedule(self, when: float) -> None:
        """Sets the end to this time of the loop's clock; no more time is added back."""
        self.end()
        self._left = 0.0
        self._begin(when - self._loop.time(), usual=0.0)

    def end(self) -> None:
        """Cancels the timeout."""
        self._timer.cancel()

    def _begin(self, seconds: float, usual: float) -> None:
        self._waited, self._usual = self._waits(), usual
        self._end = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._end, self._run_out)

    def _run_out(self) -> None:
        now = self._loop.time()
        away = max(now - self._end, self._waits() - self._waited - self._usual)
        if away > _LEAST_S and self._left > 0:
            back = min(away, self._left)
            self._left -= back
            self._begin(back, usual=0.0)  # the usual wait is part of the time that has passed
        else:
            self._limit.reschedule(now)


class Absence:
    """Adds up for how long this process's event loop has not run, from now until `end`.

    Waits for a CPU are not the only cause: a control group or a virtual machine may be frozen, memory swapped out.
    """

    def __init__(self) -> None:
        self._loop, self._seconds = asyncio.get_running_loop(), 0.0
        self._due = self._loop.time() + _LOOK_S
        self._timer = self._loop.call_at(self._due, self._look)

    def end(self) -> float:
        """Returns the seconds, and ends."""
        self._timer.cancel()
        self._add()
        self._due = math.inf
        return self._seconds

    def _look(self) -> None:
        self._add()
        self._due = self._loop.time() + _LOOK_S
        self._timer = self._loop.call_at(self._due, self._look)

    def _add(self) -> None:
        late = self._loop.time() - self._due
        if late > _LEAST_S:
            self._seconds += late
