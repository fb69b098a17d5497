"""The calendar that series are drawn over: a warm-up of quiet days, the scenario's phases, its end. Pure.

Times are minutes from the calendar's beginning, which is a midnight of the country's clocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
WARM_UP_DAYS: Final = 29
"""Quiet days before the first phase: forecasts look back 28 days, each from the day after."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """begins: of the warm-up, UTC. starts: phases by name, and the minute from which each is in force. ends: a minute.

    first_minute_of_week: of `begins` on the country's clocks, from Monday midnight.
    """

    begins: datetime
    starts: tuple[tuple[str, int], ...]
    ends: int
    first_minute_of_week: int

    def time(self, minute: int) -> datetime:
        """A minute as a moment, UTC."""
        return self.begins + timedelta(minutes=minute)

    def minute(self, at: datetime) -> int:
        """The first whole minute not before a moment."""
        return math.ceil((at - self.begins).total_seconds() / 60)

    @property
    def quiet_until(self) -> int:
        """The minute at which the first phase begins."""
        return self.starts[0][1]

    def start(self, phase: str) -> int:
        """Raises `KeyError`."""
        return dict(self.starts)[phase]

    def end(self, phase: str) -> int:
        """The minute at which a phase is over: the next one's start, or the end."""
        names = [name for name, _ in self.starts]
        following = names.index(phase) + 1
        return self.starts[following][1] if following < len(self.starts) else self.ends

    def phase_at(self, minute: int) -> str:
        """The phase in force; empty before the first."""
        return next((name for name, start in reversed(self.starts) if start <= minute), "")


def calendar_of(phases: Sequence[tuple[str, datetime]], ends: datetime, utc_offset: int = 0) -> Calendar:
    """phases: names and beginnings, in order. utc_offset: seconds that the country's clocks are ahead of UTC."""
    local = phases[0][1] + timedelta(seconds=utc_offset) - timedelta(days=WARM_UP_DAYS)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = midnight - timedelta(seconds=utc_offset)
    made = Calendar(begins, (), 0, midnight.weekday() * DAY)
    starts = tuple((name, made.minute(at)) for name, at in phases)
    return Calendar(begins, starts, made.minute(ends), made.first_minute_of_week)
