"""Converts wall-clock times to scenario times. Pure.

A phase begins when its orders are given; from then on scenario time advances with the wall clock, so that events within
a phase keep their order and distance. Times before the first phase are as long before its start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class ScenarioTime:
    """Records when each phase began, and converts times. Times are seconds since the epoch."""

    _begun: list[tuple[str, float, float, float]] = field(default_factory=list)
    """For each phase: name, wall-clock time and scenario time at its start, scenario time at its end."""

    def begin(self, phase: str, at: datetime, ends: datetime, wall: float) -> None:
        """Starts a phase; a repeated call for the same phase has no effect. `wall` is rounded down to a whole second,
        because MRT has whole seconds."""
        if not self._begun or self._begun[-1][0] != phase:
            self._begun.append((phase, math.floor(wall), at.timestamp(), ends.timestamp()))

    def of(self, wall: float) -> float:
        """Returns the scenario time of a wall-clock time. Raises `LookupError` before any phase has begun."""
        if not self._begun:
            raise LookupError("no phase has begun")
        _, since, at, ends = next((each for each in reversed(self._begun) if each[1] <= wall), self._begun[0])
        return min(at + wall - since, max(at, ends - 1))
