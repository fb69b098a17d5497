"""Recurrence: by the clock (`every`), in bouts (`flapping`), or step by step (`ramp`). Pure.

A country's clocks jump twice a year: a local time that a jump skips is the moment at which the clock would have shown
it, and one that occurs twice is its first occurrence (PEP 495, `fold=0`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from shutdownlab.config.document import Expected, Record, did_you_mean
from shutdownlab.config.scalars import Instant, Number, Seconds, text_like, written

MOST = 900
"""The most occurrences in one scenario: a timeline has at most a thousand phases."""

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_S = 60


class Window(NamedTuple):
    """One occurrence, until `end`, or for good (None)."""

    begin: datetime
    end: datetime | None


def _date(value: Any) -> date:
    text = value.isoformat() if type(value) is date else written(value)
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise Expected("a date such as 2021-02-15", "a day in the country's local time") from None


def _clock(value: Any) -> time:
    text = f"{value:%H:%M}" if isinstance(value, time) else written(value)
    found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if found is None:
        raise Expected('a time of day such as "01:00"', "two digits each, from 00:00 to 23:59, in quotes")
    return time(int(found[1]), int(found[2]))


def _zone(value: Any) -> str:
    name = written(value)
    try:
        zone_named(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not available_timezones():
            expected = "a time zone; this machine has no time zone database"
            raise Expected(expected, "`apt-get install tzdata` or `pip install tzdata` installs it") from None
        expected = "a time zone of the IANA database such as Asia/Yangon"
        raise Expected(expected, lambda: did_you_mean(name, available_timezones())) from None
    return name


@cache
def zone_named(name: str) -> ZoneInfo:
    """Returns a time zone of the IANA database. Raises what `ZoneInfo` raises."""
    return ZoneInfo(name)


Date = Annotated[
    date,
    BeforeValidator(_date),
    PlainSerializer(date.isoformat),
    text_like("date", "2021-02-15", pattern=r"\d{4}-\d{2}-\d{2}"),
]
Clock = Annotated[
    time,
    BeforeValidator(_clock),
    PlainSerializer(lambda at: f"{at:%H:%M}"),
    text_like("time of day", "01:00", pattern="([01][0-9]|2[0-3]):[0-5][0-9]"),
]
Zone = Annotated[str, BeforeValidator(_zone), text_like("time zone", "Asia/Yangon", "Asia/Tehran")]


class Every(Record):
    """By the clock: on some days, from one time of day to another."""

    days: tuple[Weekday, ...] = ()
    """The days of the week on which it begins; left out: all."""
    dates: tuple[Date, ...] = ()
    """The dates on which it begins, in place of `days`, `first` and `last`: those of exams, for example."""
    but_not: tuple[Date, ...] = ()
    """The dates on which it does not begin."""
    first: Date | None = None
    """The first date on which it may begin; left out: the day of the timeline's first phase."""
    last: Date | None = None
    """The last date on which it may begin; left out: the day on which the scenario ends."""
    from_: Clock = Field(alias="from")
    """When it begins, in local time."""
    to: Clock
    """When it ends: on the next day if that is not later than `from`."""
    zone: Zone | None = None
    """The country's time zone, with daylight saving time; left out: `utc_offset`, all the year."""

    @model_validator(mode="after")
    def _one_way_to_say_when(self) -> Every:
        if self.from_ == self.to:
            raise Expected("a time other than `from`", found=f"{self.to:%H:%M}", key="to")
        if self.dates and (self.days or self.first or self.last):
            raise Expected("either `dates`, or `days` with `first` and `last`", found="both", key="dates")
        if self.first and self.last and self.last < self.first:
            expected = f"a date that is not before `first`, {self.first}"
            raise Expected(expected, found=str(self.last), key="last")
        return self

    def windows(self, since: datetime, until: datetime, utc_offset: int) -> Iterator[Window]:
        """Yields the occurrences in a scenario that lasts from `since` to `until`; `utc_offset` in seconds."""
        zone = zone_named(self.zone) if self.zone else timezone(timedelta(seconds=utc_offset))
        for day in self._dates(since.astimezone(zone).date(), until.astimezone(zone).date()):
            end_day = day if self.to > self.from_ else day + timedelta(days=1)
            begin = datetime.combine(day, self.from_, zone).astimezone(UTC)
            yield Window(begin, datetime.combine(end_day, self.to, zone).astimezone(UTC))

    def _dates(self, since: date, until: date) -> Iterator[date]:
        if self.dates:
            yield from (day for day in sorted(set(self.dates)) if day not in self.but_not)
            return
        day, last = self.first or since, self.last or until
        while day <= last:
            if (not self.days or _WEEKDAYS[day.weekday()] in self.days) and day not in self.but_not:
                yield day
            day += timedelta(days=1)


class Flapping(Record):
    """Off and on again, for a share of each period."""

    period: Seconds
    """The time from the beginning of one bout to that of the next; whole minutes."""
    share: Annotated[Number, Field(gt=0, lt=1)]
    """The share of each period that a bout lasts, more than 0 and less than 1; rounded to minutes."""
    from_: Instant = Field(alias="from")
    """When the first bout begins."""
    to: Instant
    """When it is over; a bout in progress ends then."""

    @model_validator(mode="after")
    def _in_minutes(self) -> Flapping:
        if self.to <= self.from_:
            raise Expected("a time after `from`", found=f"{self.to:%Y-%m-%dT%H:%MZ}", key="to")
        if self.period < 2 * _MINUTE_S or self.period % _MINUTE_S:
            expected = "whole minutes, at least two"
            raise Expected(expected, "a scenario's times have no seconds", found=f"{self.period:g} s", key="period")
        return self

    @property
    def lasts(self) -> timedelta:
        """How long one bout lasts: at least a minute, and at most a minute less than the period."""
        minutes = round(self.period / _MINUTE_S)
        return timedelta(minutes=min(minutes - 1, max(1, round(minutes * self.share))))

    def windows(self) -> Iterator[Window]:
        """Yields the bouts."""
        begin = self.from_
        while begin < self.to:
            yield Window(begin, min(begin + self.lasts, self.to))
            begin += timedelta(seconds=self.period)
