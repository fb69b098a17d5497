"""A model of how Internet use varies over the day and the week. Pure.

Use is lowest before dawn and highest in the late evening (Quan, Heidemann and Pradkin, "When the Internet Sleeps", IMC
2014, describe the daily rhythm of active addresses). Use at night and at the weekend, relative to the peak, is ASSUMED.
"""

from __future__ import annotations

from functools import cache
from math import cos, pi
from typing import Final

from shutdownlab.signals.calendar import DAY, WEEK

SLOT: Final = 30
"""Length in minutes of the slots in which the curve is constant."""
_NIGHT: Final = 0.35
_PEAK_MINUTE: Final = 21 * 60
_WEEKEND: Final = 0.92


@cache
def curve() -> tuple[float, ...]:
    """Returns the use in each slot of a week, from Monday midnight local time: 1 at a workday's peak."""
    return tuple(_use(minute) for minute in range(0, WEEK, SLOT))


def _use(minute: int) -> float:
    away = 2 * pi * (minute % DAY - _PEAK_MINUTE) / DAY
    day = _NIGHT + (1 - _NIGHT) * (1 + cos(away)) / 2
    return day * (_WEEKEND if minute >= 5 * DAY else 1.0)


def usual(minute_of_week: int) -> float:
    """Returns the use at a minute of the week; minutes beyond a week wrap around."""
    return curve()[minute_of_week % WEEK // SLOT]
