"""Compares a published series with the emulated one: correlation, lag, and error by phase. Pure."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import fmean, median

from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.signals.published import Published
from shutdownlab.signals.series import Series

MOST_LAG = timedelta(hours=6)
_INSTANT = 60
"""Minutes: a published value covering more than this, as Tor Metrics' daily ones do, is taken as the period's mean."""


@dataclass(frozen=True, slots=True)
class PhaseError:
    """The two series in one phase: their means as shares of their quiet levels, and the mean absolute difference.

    at: when the phase begins. values: number of published values in it; if 0, the others are None.
    """

    phase: str
    at: datetime
    values: int
    published: float | None
    emulated: float | None
    error: float | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """A comparison of a published series with the emulated one.

    correlation: Pearson's, -1 to 1; None if one of the two is constant.
    lag: minutes that the published series lags behind the emulated one at the best fit. best: the correlation there.
    error: mean absolute difference over all values, as a share of the quiet level.
    """

    series: Series
    column: str
    values: int
    correlation: float | None
    lag: int | None
    best: float | None
    error: float
    phases: tuple[PhaseError, ...]

    def __repr__(self) -> str:
        correlation = "none" if self.correlation is None else f"{self.correlation:.2f}"
        return f"Overlay({self.column}: {self.values:,} values, correlation {correlation}, error {self.error:.3f})"


def overlay(series: Series, published: Published, file: str, quiet_until: int) -> Overlay:
    """Compares the two series from the start of the first phase to the end of the last.

    quiet_until: minute at which the first policy begins. Both series are divided by their median before it. Raises
    `BadInput` if the published series has no values before it, if their median is 0, or if it has none in the phases.
    """
    calendar = series.calendar
    largest = max(published.values) or 1.0  # divided by it, sums of the largest floats stay finite
    pairs = [(t, v / largest) for t, v in zip(published.times, published.values, strict=True)]
    inside = [(t, v) for t, v in pairs if calendar.quiet_until <= calendar.minute(t) < calendar.ends]
    before = [(t, v) for t, v in pairs if 0 <= calendar.minute(t) < quiet_until]
    begins, starts = calendar.time(0), calendar.time(quiet_until)
    if not before or not (level := median(v for _, v in before)):
        found = f"no value above 0 between {begins:%Y-%m-%dT%H:%MZ} and {starts:%Y-%m-%dT%H:%MZ}"
        raise BadInput([Problem(file, 0, "", found, "some of quiet days before, to compare with")])
    if not inside:
        found = f"values from {published.times[0]:%Y-%m-%dT%H:%MZ} to {published.times[-1]:%Y-%m-%dT%H:%MZ}"
        raise BadInput(
            [Problem(file, 0, "", found, f"some from {calendar.time(calendar.quiet_until):%Y-%m-%dT%H:%MZ} on")]
        )
    each = max(1, int(published.step.total_seconds()) // 60)
    own = median(_value(series, calendar.minute(t), each) for t, _ in before) or 1.0
    reported = [v / level for _, v in inside]
    minutes = [calendar.minute(t) for t, _ in inside]
    emulated = [_value(series, minute, each) / own for minute in minutes]
    lags = _lags(series, minutes, reported, own, each)
    best = max(lags, key=lambda each: (round(each[1], 9), -abs(each[0])), default=None)
    errors = [abs(a - b) for a, b in zip(reported, emulated, strict=True)]
    return Overlay(
        series, published.column, len(inside), _correlation(reported, emulated), best[0] if best else None,
        best[1] if best else None, sum(errors) / len(errors), tuple(_phases(series, minutes, reported, emulated)),
    )  # fmt: skip


def _value(series: Series, minute: int, each: int) -> float:
    """Returns the emulated value that corresponds to a published one covering `each` minutes from `minute` on."""
    last = series.calendar.ends - 1
    if each <= _INSTANT or not 0 <= minute < last:
        return series.at(min(max(minute, 0), last))
    return fmean(series.at(at) for at in range(minute, min(minute + each, last), series.signal.step))


def _lags(
    series: Series, minutes: Sequence[int], reported: Sequence[float], own: float, each: int
) -> list[tuple[int, float]]:
    """Returns the lags in minutes, up to `MOST_LAG` either way in steps of `each`, with the correlation at each."""
    most = int(MOST_LAG.total_seconds()) // 60 // each * each
    emulated, found = dict[int, float](), []
    for lag in range(-most, most + 1, each):
        shifted = [minute - lag for minute in minutes]
        for minute in shifted:
            if minute not in emulated:
                emulated[minute] = _value(series, minute, each) / own
        correlation = _correlation(reported, [emulated[minute] for minute in shifted])
        if correlation is not None:
            found.append((lag, correlation))
    return found


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Returns Pearson's correlation; None if either series is constant."""
    count = len(one)
    mean, other_mean = sum(one) / count, sum(other) / count
    together = sum(map(operator.mul, one, other)) / count - mean * other_mean
    spread = sum(map(operator.mul, one, one)) / count - mean * mean
    other_spread = sum(map(operator.mul, other, other)) / count - other_mean * other_mean
    if spread <= 1e-12 or other_spread <= 1e-12:
        return None
    found: float = together / sqrt(spread * other_spread)
    return max(-1.0, min(1.0, found))


def _phases(
    series: Series, minutes: Sequence[int], reported: Sequence[float], emulated: Sequence[float]
) -> list[PhaseError]:
    calendar, found = series.calendar, []
    for phase, start in calendar.starts:
        end = calendar.end(phase)
        pairs = [(a, b) for minute, a, b in zip(minutes, reported, emulated, strict=True) if start <= minute < end]
        count = len(pairs)
        means = (
            (
                sum(a for a, _ in pairs) / count,
                sum(b for _, b in pairs) / count,
                sum(abs(a - b) for a, b in pairs) / count,
            )
            if pairs
            else (None, None, None)
        )
        found.append(PhaseError(phase, calendar.time(start), count, *means))
    return found
