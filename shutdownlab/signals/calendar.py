"""The time axis of series: a warm-up of quiet days, then the scenario's phases. Pure.

Times are minutes since the calendar's beginning, which is midnight local time in the country.
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
"""Quiet days before the first phase: forecasts need the latest day and the 28 before it."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """A scenario's time axis.

    begins: start of the warm-up, UTC. starts: names of the phases, and the minute at which each begins. ends: the
    minute at which the last one ends.
    first_minute_of_week: minutes from Monday midnight to `begins`, local time.
    """

    begins: datetime
    starts: tuple[tuple[str, int], ...]
    ends: int
    first_minute_of_week: int

    def time(self, minute: int) -> datetime:
        """Converts a minute to a time, UTC."""
        return self.begins + timedelta(minutes=minute)

    def minute(self, at: datetime) -> int:
        """Converts a time to a minute, rounded up."""
        return math.ceil((at - self.begins).total_seconds() / 60)

    @property
    def quiet_until(self) -> int:
        """The minute at which the first phase begins."""
        return self.starts[0][1]

    def start(self, phase: str) -> int:
        """Returns the minute at which a phase begins. Raises `KeyError` for an unknown phase."""
        return dict(self.starts)[phase]

    def end(self, phase: str) -> int:
        """Returns the minute at which a phase ends: the start of the next one, or the calendar's end."""
        names = [name for name, _ in self.starts]
        following = names.index(phase) + 1
        return self.starts[following][1] if following < len(self.starts) else self.ends

    def phase_at(self, minute: int) -> str:
        """Returns the phase at a minute; "" before the first."""
        return next((name for name, start in reversed(self.starts) if start <= minute), "")


def calendar_of(phases: Sequence[tuple[str, datetime]], ends: datetime, utc_offset: int = 0) -> Calendar:
    """Builds a calendar. phases: names and start times, in order. utc_offset: local time minus UTC, in seconds."""
    local = phases[0][1] + timedelta(seconds=utc_offset) - timedelta(days=WARM_UP_DAYS)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begins = midnight - timedelta(seconds=utc_offset)
    made = Calendar(begins, (), 0, midnight.weekday() * DAY)
    starts = tuple((name, made.minute(at)) for name, at in phases)
    return Calendar(begins, starts, made.minute(ends), made.first_minute_of_week)
