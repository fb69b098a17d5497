"""A signal over a scenario's whole calendar: measured at each phase, held in between. Pure.

A series is kept as the stretches in which it does not change: ten days at a resolution of a minute are some dozen of
them. What follows people's day is a level, which the curve of the week multiplies.
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
"""What a share is on a quiet day."""
Key: TypeAlias = tuple[str, Scope, str, Literal["ipv4", "ipv6", "both"]]
"""Signal, scope, of what, family."""


class Stretch(NamedTuple):
    """Minutes `start` to `end` (exclusive) in which a series has one value. Both are rounds of the series."""

    start: int
    end: int
    value: float
    basis: Basis


class Point(NamedTuple):
    """One value of a series at its full resolution."""

    at: datetime
    value: float
    basis: Basis


@dataclass(frozen=True, slots=True)
class Series:
    """stretches: in order, without gaps, from the calendar's beginning to its end."""

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
        """The value at a minute, without the curve of the week."""
        return next(s.value for s in reversed(self.stretches) if s.start <= minute)

    def at(self, minute: int) -> float:
        """The value at a minute, as people would plot it: that of the last round."""
        now = minute // self.signal.step * self.signal.step
        place = bisect_right(self.stretches, now, key=lambda stretch: stretch.start) - 1
        return self.stretches[place].value * self._curve(now)

    def points(self, start: int = 0, end: int | None = None) -> Iterator[Point]:
        """Every value from one minute to another (exclusive), as people would plot it."""
        calendar, step = self.calendar, self.signal.step
        for stretch in self.stretches:
            first = max(stretch.start, -(-start // step) * step)
            for minute in range(first, min(stretch.end, calendar.ends if end is None else end), step):
                yield Point(calendar.time(minute), stretch.value * self._curve(minute), stretch.basis)

    def _curve(self, minute: int) -> float:
        return usual(self.calendar.first_minute_of_week + minute) if self.signal.follows_the_day else 1.0

    def lowest(self, start: int, end: int) -> float:
        """The lowest level between two minutes."""
        return min(s.value for s in self.stretches if s.start < end and s.end > start)

    def highest(self, start: int, end: int) -> float:
        """The highest level between two minutes."""
        return max(s.value for s in self.stretches if s.start < end and s.end > start)

    def mean(self, start: int, end: int) -> float:
        """The mean level between two minutes."""
        parts = [
            (s.value, min(s.end, end) - max(s.start, start)) for s in self.stretches if s.start < end and s.end > start
        ]
        return sum(value * length for value, length in parts) / sum(length for _, length in parts)

    def noisy(self, spread: float, seed: int) -> Series:
        """The same with a value of its own in each round, around it: normal, of this relative standard deviation.

        The same seed gives the same values, whichever other series there are.
        """
        drawn = random.Random(f"{seed} {self.key}")
        rounds = (
            Stretch(minute, minute + self.signal.step, max(0.0, s.value * drawn.gauss(1.0, spread)), s.basis)
            for s in self.stretches
            for minute in range(s.start, s.end, self.signal.step)
        )
        return replace(self, stretches=tuple(rounds))


def unsteady(series: Series, noise: Noise | None) -> Series:
    """As a scenario's noise has it; the same where there is none of its signal."""
    spread = noise.spread.get(series.signal.name) if noise is not None else None
    return series.noisy(spread, noise.seed) if noise is not None and spread else series


def series_of(readings: Iterable[Reading], calendar: Calendar) -> dict[Key, Series]:
    """A series for each signal, of each thing, that was read. Signals that are not in the catalogue have none.

    Until the first phase it is as on a quiet day: 1 for shares, the first value for counts. A phase without a reading
    holds the one before.
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
    """What is changed again within the same round is never seen."""
    until, end = list[int](), -(-ends // step) * step
    for start, _, _ in reversed(changes):  # each until the first of those after it, whichever that is
        until.append(end)
        end = min(start, end)
    for (start, value, basis), end in zip(changes, reversed(until), strict=True):
        if start < end:
            yield Stretch(start, end, value, basis)
