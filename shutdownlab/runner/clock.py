"""Maps scenario time to wall-clock time: jumping from phase to phase, or by a real-time factor."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

_TICK = 1.0


class Clock:
    """A clock for scenario time, which is `start` now.

    factor: scenario seconds per wall-clock second; None: time jumps.
    """

    def __init__(self, start: datetime, factor: float | None) -> None:
        self._start = start
        self._factor = factor
        self._began = time.monotonic()

    def wall_seconds(self, scenario_seconds: float) -> float:
        """Returns how long a span of scenario time takes by the wall clock; 0 if time jumps."""
        return scenario_seconds / self._factor if self._factor else 0.0

    def wait_until(self, moment: datetime, tell: Callable[[float], None]) -> float:
        """Waits for a moment of scenario time, calling `tell` with the seconds left; returns how many it is late by."""
        if self._factor is None:
            return 0.0
        due = self._began + self.wall_seconds((moment - self._start).total_seconds())
        while (left := due - time.monotonic()) > 0:
            tell(left)
            time.sleep(min(left, _TICK))
        return -left
