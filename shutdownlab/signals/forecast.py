"""Compares a series with a forecast, as Cloudflare Radar does for traffic. Pure.

From "Gone offline: how Cloudflare Radar detects Internet outages" (Cloudflare, 26 September 2023): among the last 28
days, find the six 24-hour periods most like the latest one (by Euclidean distance); the forecast is the median of what
followed them. Here a period is a day in local time, in slots of 30 minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import dist
from statistics import median
from typing import Final, TypeAlias

from shutdownlab.signals.calendar import DAY
from shutdownlab.signals.curve import SLOT, usual
from shutdownlab.signals.medians import Piece
from shutdownlab.signals.series import Series

LOOKS_BACK: Final = 28
MOST_ALIKE: Final = 6
_SLOTS: Final = DAY // SLOT
_Day: TypeAlias = tuple[float, ...]


def against_forecast(series: Series) -> Iterator[Piece]:
    """Yields every slot from day 30 of the series on, the first one preceded by a latest day and 28 days before it."""
    days = list(_days(series))
    forecast = cache(_forecast)
    stretches = iter(series.stretches)
    stretch = next(stretches)
    last = series.stretches[-1].end
    for number in range(LOOKS_BACK + 1, len(days)):
        expected = forecast(tuple(days[number - LOOKS_BACK - 1 : number]))
        for slot in range(_SLOTS):
            start = number * DAY + slot * SLOT
            end = min(start + SLOT, last)
            while start < end:
                while stretch.end <= start:
                    stretch = next(stretches)
                until = min(end, stretch.end)
                yield Piece(start, until, stretch.value * _curve(series, start), expected[slot])
                start = until


def _curve(series: Series, minute: int) -> float:
    return usual(series.calendar.first_minute_of_week + minute) if series.signal.follows_the_day else 1.0


def _days(series: Series) -> Iterator[_Day]:
    """Yields the means of the slots of each day, including an incomplete last day."""
    stretches = iter(series.stretches)
    stretch = next(stretches)
    last = series.stretches[-1].end
    for start in range(0, last, DAY):
        day = []
        for slot in range(start, start + DAY, SLOT):
            total, now = 0.0, slot
            while now < slot + SLOT:
                while stretch.end <= now and stretch.end < last:
                    stretch = next(stretches)
                until = min(stretch.end, slot + SLOT) if stretch.end > now else slot + SLOT
                total += stretch.value * (until - now)
                now = until
            day.append(total / SLOT * _curve(series, slot))
        yield tuple(day)


def _forecast(past: Sequence[_Day]) -> _Day:
    """Forecasts the next day. past: 28 days and then the latest one."""
    latest, before = past[-1], past[:-1]
    alike = sorted(range(len(before)), key=lambda place: (dist(before[place], latest), -place))[:MOST_ALIKE]
    followed = [past[place + 1] for place in alike]
    return tuple(median(day[slot] for day in followed) for slot in range(_SLOTS))
