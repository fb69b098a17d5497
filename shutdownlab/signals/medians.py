"""Compares a series with the median of its own past, as IODA does. Pure, and exact at every round.

A round is one interval between two values. While the window slides over stretches of equal values its median rarely
changes, and the changes are found without visiting each round. A series that changes in most rounds, such as one with
noise, is processed round by round.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from shutdownlab.signals.series import Stretch


class Piece(NamedTuple):
    """A period, in minutes from `start` to `end` (exclusive), with the series' value and the usual value."""

    start: int
    end: int
    value: float
    usual: float


def against_median(stretches: Sequence[Stretch], step: int, window: int) -> Iterator[Piece]:
    """Yields the rounds that have a full window of `window` minutes before them; the window excludes the round itself.

    step: minutes per round.
    """
    rounds = (stretches[-1].end - stretches[0].start) // step
    if len(stretches) * 4 > rounds:
        yield from _round_by_round(stretches, step, window)
    else:
        yield from _by_stretches(stretches, step, window)


def _by_stretches(stretches: Sequence[Stretch], step: int, window: int) -> Iterator[Piece]:
    begins, ends = stretches[0].start, stretches[-1].end
    edges = {s.start for s in stretches} | {s.start + window for s in stretches} | {begins + window, ends}
    moments = sorted(edge for edge in edges if begins + window <= edge <= ends)
    values = iter(stretches)
    current = next(values)
    for start, end in pairwise(moments):
        while current.end <= start:
            current = next(values)
        inside = [s for s in stretches if s.start < end and s.end > start - window]
        for first, last, median in _medians(inside, start, end, step, window):
            yield Piece(first, last, current.value, median)


def _medians(
    stretches: Sequence[Stretch], start: int, end: int, step: int, window: int
) -> Iterator[tuple[int, int, float]]:
    """Yields start, end and median of each period with a constant median, by bisection.

    Throughout this time one value enters the window and one leaves it, so the median is monotonic: if it is equal at
    both ends, it is constant in between.
    """
    first, last = _median(stretches, start, step, window), _median(stretches, end - step, step, window)
    if first == last:
        yield start, end, first
        return
    middle = start + (end - start) // (2 * step) * step
    yield from _medians(stretches, start, middle, step, window)
    yield from _medians(stretches, middle, end, step, window)


def _median(stretches: Sequence[Stretch], now: int, step: int, window: int) -> float:
    counted = sorted(
        (s.value, (min(s.end, now) - max(s.start, now - window)) // step)
        for s in stretches
        if s.start < now and s.end > now - window
    )
    count = window // step
    return (_nth(counted, (count - 1) // 2) + _nth(counted, count // 2)) / 2


def _nth(counted: Sequence[tuple[float, int]], place: int) -> float:
    for value, count in counted:
        if place < count:
            return value
        place -= count
    raise IndexError(place)


def _round_by_round(stretches: Sequence[Stretch], step: int, window: int) -> Iterator[Piece]:
    values = [s.value for s in stretches for _ in range(s.start, s.end, step)]
    begins, count = stretches[0].start, window // step
    past = sorted(values[:count])
    for place in range(count, len(values)):
        median = (past[(count - 1) // 2] + past[count // 2]) / 2
        now = begins + place * step
        yield Piece(now, now + step, values[place], median)
        del past[bisect_left(past, values[place - count])]
        insort(past, values[place])
