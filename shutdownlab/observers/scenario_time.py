"""Which moment of the scenario a moment of the wall clock is. Pure.

A phase begins when its orders are given; from then on the scenario's time passes as the wall clock's does, so that what
follows within a phase keeps its order and distance. What came before the first phase is as long before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class ScenarioTime:
    """Knows when which phase began. Moments are seconds since the epoch."""

    _begun: list[tuple[str, float, float, float]] = field(default_factory=list)
    """Of each phase: its name, the wall clock's and the scenario's time at its beginning, the scenario's at its end."""

    def begin(self, phase: str, at: datetime, ends: datetime, wall: float) -> None:
        """A phase begins; a second time, it goes on. The second in which it begins is its own: MRT knows whole ones."""
        if not self._begun or self._begun[-1][0] != phase:
            self._begun.append((phase, math.floor(wall), at.timestamp(), ends.timestamp()))

    def of(self, wall: float) -> float:
        """The scenario's time of a moment. Raises `LookupError` before any phase has begun."""
        if not self._begun:
            raise LookupError("no phase has begun")
        _, since, at, ends = next((each for each in reversed(self._begun) if each[1] <= wall), self._begun[0])
        return min(at + wall - since, max(at, ends - 1))
