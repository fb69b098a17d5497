"""How long a step of a probe waits for the network: time in which it could have heard an answer.

An agent that the machine keeps from its processors, or that is busy with its other probes, hears nothing. What came
meanwhile it finds when it goes on; and in that very round of its loop its timers run out, too. So a timer that has run
out says nothing by itself: time that the agent was not there for, beyond what is usual, is given back, and only
silence after that counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from shutdownlab.model.probe import MOST_PATIENCE
from shutdownlab.system.processor import waited_s

_LEAST_S: Final = 0.01
"""A timer is always a little late."""
_USUAL: Final = 0.5
"""Of a step's patience, how long an agent waits for its turn where only the run itself keeps the machine busy: that is
in the patience already, and given back it made a blackout's silence half as long again."""


@asynccontextmanager
async def patience(seconds: float, waited: Callable[[], float] | None = None) -> AsyncIterator[Patience]:
    """Raises TimeoutError, as `asyncio.timeout` does, after so many seconds in which whoever works was there to hear.

    waited: for how many seconds they had no processor until now (None: this process alone works).
    """
    async with asyncio.timeout(None) as limit:
        waiting = Patience(limit, seconds, waited or waited_s)
        try:
            yield waiting
        finally:
            waiting.end()


class Patience:
    """Runs `limit` out once the patience is at its end."""

    def __init__(self, limit: asyncio.Timeout, seconds: float, waited: Callable[[], float]) -> None:
        self._loop, self._limit, self._waits = asyncio.get_running_loop(), limit, waited
        self._left = (MOST_PATIENCE - 1) * seconds
        self._begin(seconds, usual=_USUAL * seconds)

    def renew(self, seconds: float) -> None:
        """Have so much patience from now on, whatever is left of it."""
        self.end()
        self._left = (MOST_PATIENCE - 1) * seconds
        self._begin(seconds, usual=_USUAL * seconds)

    def reschedule(self, when: float) -> None:
        """From now on the end is at that time of the loop's clock, whatever happens."""
        self.end()
        self._left = 0.0
        self._begin(when - self._loop.time(), usual=0.0)

    def end(self) -> None:
        """Run nothing out."""
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
            self._begin(back, usual=0.0)  # it is in what has passed
        else:
            self._limit.reschedule(now)
