"""A signal over a scenario's whole calendar: read once in each phase, and held until the next. Pure.

A series is stored as stretches of constant value: ten days at a resolution of one minute take about a dozen. For
signals that follow the day, the stored level is multiplied by the weekly curve of use.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from shutdownlab.model.noise import Noise
from shutdownlab.results.reading import Basis, Reading, Scope
from shutdownlab.signals.calendar import Calendar
from shutdownlab.signals.catalogue import SIGNALS, Signal
from shutdownlab.signals.curve import usual

QUIET: Final = 1.0
"""The value of a share on a quiet day."""
Key: TypeAlias = tuple[str, Scope, str, Literal["ipv4", "ipv6", "both"]]
"""Signal, scope, name of the operator or region ("" for the country), address family."""


class Stretch(NamedTuple):
    """A period of constant value, in minutes from `start` to `end` (exclusive), both multiples of the signal's step."""

    start: int
    end: int
    value: float
    basis: Basis


class Point(NamedTuple):
    """One value of a series at full resolution."""

    at: datetime
    value: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class Series:
    """A signal's values over a calendar. stretches: in order and without gaps, from its beginning to its end."""

    signal: Signal
    scope: Scope
    of: str
    family: Literal["ipv4", "ipv6", "both"]
    calendar: Calendar
    stretches: tuple[Stretch, ...]

    @property
    def key(self) -> Key:
        return self.signal.name, self.scope, self.of, self.family

    def level(self, minute: int) -> float:
        """Returns the value at a minute, without the weekly curve."""
        return next(s.value for s in reversed(self.stretches) if s.start <= minute)

    def at(self, minute: int) -> float:
        """Returns the latest value at a minute, with the weekly curve, as it would be plotted."""
        now = minute // self.signal.step * self.signal.step
        place = bisect_right(self.stretches, now, key=lambda stretch: stretch.start) - 1
        return self.stretches[place].value * self._curve(now)

    def points(self, start: int = 0, end: int | None = None) -> Iterator[Point]:
        """Yields the values from minute `start` to `end` (exclusive; None: the calendar's end), as for plotting."""
        calendar, step = self.calendar, self.signal.step
        for stretch in self.stretches:
            first = max(stretch.start, -(-start // step) * step)
            for minute in range(first, min(stretch.end, calendar.ends if end is None else end), step):
                yield Point(calendar.time(minute), stretch.value * self._curve(minute), stretch.basis)

    def _curve(self, minute: int) -> float:
        return usual(self.calendar.first_minute_of_week + minute) if self.signal.follows_the_day else 1.0

    def lowest(self, start: int, end: int) -> float:
        """Returns the lowest level between two minutes."""
        return min(s.value for s in self.stretches if s.start < end and s.end > start)

    def highest(self, start: int, end: int) -> float:
        """Returns the highest level between two minutes."""
        return max(s.value for s in self.stretches if s.start < end and s.end > start)

    def mean(self, start: int, end: int) -> float:
        """Returns the mean level between two minutes, weighted by time."""
        parts = [
            (s.value, min(s.end, end) - max(s.start, start)) for s in self.stretches if s.start < end and s.end > start
        ]
        return sum(value * length for value, length in parts) / sum(length for _, length in parts)

    def noisy(self, spread: float, seed: int) -> Series:
        """Returns the series with normally distributed noise in each value; `spread`: relative standard deviation.

        The same seed gives the same values, independent of other series.
        """
        drawn = random.Random(f"{seed} {self.key}")
        rounds = (
            Stretch(minute, minute + self.signal.step, max(0.0, s.value * drawn.gauss(1.0, spread)), s.basis)
            for s in self.stretches
            for minute in range(s.start, s.end, self.signal.step)
        )
        return replace(self, stretches=tuple(rounds))


def unsteady(series: Series, noise: Noise | None) -> Series:
    """Returns the series with a scenario's noise, or unchanged if there is none for its signal."""
    spread = noise.spread.get(series.signal.name) if noise is not None else None
    return series.noisy(spread, noise.seed) if noise is not None and spread else series


def series_of(readings: Iterable[Reading], calendar: Calendar) -> dict[Key, Series]:
    """Builds a series for each signal, scope and address family with readings, if the signal is in the catalogue.

    Until the first phase the value is a quiet day's: 1 for shares, the first reading for counts. A phase without a
    reading keeps the previous value.
    """
    found: dict[Key, dict[str, Reading]] = {}
    for reading in readings:
        if reading.signal in SIGNALS:
            key: Key = reading.signal, reading.scope, reading.of, reading.family
            found.setdefault(key, {})[reading.phase] = reading
    return {key: _series(key, by_phase, calendar) for key, by_phase in found.items()}


def _series(key: Key, by_phase: Mapping[str, Reading], calendar: Calendar) -> Series:
    signal = SIGNALS[key[0]]
    first = next(iter(by_phase.values()))
    quiet = QUIET if first.unit == "share" else first.value
    changes: list[tuple[int, float, Basis]] = [(0, quiet, "modelled")]
    for phase, start in calendar.starts:
        round_of_it = -(-start // signal.step) * signal.step
        reading = by_phase.get(phase)
        if reading is None:
            continue
        changes.append((round_of_it, reading.value, reading.basis))
        changes.append((round_of_it + signal.step, reading.value, "held"))
    return Series(signal, key[1], key[2], key[3], calendar, tuple(_stretches(changes, calendar.ends, signal.step)))


def _stretches(changes: Sequence[tuple[int, float, Basis]], ends: int, step: int) -> Iterator[Stretch]:
    """Converts changes (minute, new value, basis) to stretches; a value replaced in the same round doesn't appear."""
    until, end = list[int](), -(-ends // step) * step
    for start, _, _ in reversed(changes):  # each lasts until the earliest of the later changes
        until.append(end)
        end = min(start, end)
    for (start, value, basis), end in zip(changes, reversed(until), strict=True):
        if start < end:
            yield Stretch(start, end, value, basis)
