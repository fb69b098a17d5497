"""How people's use of the Internet rises and falls over the day and the week: a stated model. Pure.

Use is lowest before dawn and highest in the late evening (Quan, Heidemann and Pradkin, "When the Internet Sleeps", IMC
2014, have the day's rhythm of addresses in use). The depth of the night and the week-end's part are ASSUMED.
"""

from __future__ import annotations

from functools import cache
from math import cos, pi
from typing import Final

from shutdownlab.signals.calendar import DAY, WEEK

SLOT: Final = 30
"""Minutes in which the curve does not change."""
_NIGHT: Final = 0.35
_PEAK_MINUTE: Final = 21 * 60
_WEEKEND: Final = 0.92


@cache
def curve() -> tuple[float, ...]:
    """Of each slot of a week, from Monday midnight on the country's clocks: 1 at a workday's peak."""
    return tuple(_use(minute) for minute in range(0, WEEK, SLOT))


def _use(minute: int) -> float:
    away = 2 * pi * (minute % DAY - _PEAK_MINUTE) / DAY
    day = _NIGHT + (1 - _NIGHT) * (1 + cos(away)) / 2
    return day * (_WEEKEND if minute >= 5 * DAY else 1.0)


def usual(minute_of_week: int) -> float:
    """Of a moment; minutes beyond the week go on in the next."""
    return curve()[minute_of_week % WEEK // SLOT]
