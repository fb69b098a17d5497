"""The scenario's time as the horizontal axis of a drawing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from shutdownlab.reporting.page.account import PhaseSpan

_STEPS = (1 / 60, 1 / 12, 1 / 4, 1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 14, 24 * 30, 24 * 90, 24 * 180, 24 * 365)
"""The possible intervals between marks, in hours."""


class Axis:
    """Maps scenario times to x coordinates from `left` to `right`, with about `marks` marks at most.

    A last phase without an end is drawn as long as the others are on average, and at least an hour.
    """

    def __init__(self, spans: tuple[PhaseSpan, ...], left: float, right: float, marks: int = 12) -> None:
        self.spans, self.left, self.right, self._most = spans, left, right, marks
        self.begin = spans[0].at
        known = sum(span.hours for span in spans)
        last = spans[-1]
        self.end = last.until or last.at + timedelta(hours=max(1.0, known / max(1, len(spans) - 1)))
        self._whole = (self.end - self.begin).total_seconds() or 1.0

    def x(self, moment: datetime) -> float:
        return self.left + (self.right - self.left) * (moment - self.begin).total_seconds() / self._whole

    def of(self, place: int) -> tuple[float, float]:
        """Returns the left edge and the width of a phase, by its index."""
        span = self.spans[place]
        left = self.x(span.at)
        return left, self.x(span.until or self.end) - left

    def marks(self) -> Iterator[tuple[float, str]]:
        """Yields the x coordinate and label of each mark, at round times. If the axis spans several years, the first
        date of each has the year."""
        hours, year = self._whole / 3_600, 0
        has_years = self.begin.year != self.end.year
        most = self._most * 2 // 3 if has_years else self._most  # labels with a year are wider
        step = next((step for step in _STEPS if hours / step <= most), _STEPS[-1])
        seconds = round(step * 3_600)
        stamp = -(-self.begin.timestamp() // seconds) * seconds
        while stamp <= self.end.timestamp():
            moment = datetime.fromtimestamp(stamp, UTC)
            label = f"{moment:%H:%M}" if moment.hour or moment.minute else f"{moment.day} {moment:%b}"
            if has_years and year != moment.year and ":" not in label:
                label, year = f"{label} {moment:%Y}", moment.year
            yield self.x(moment), label
            stamp += seconds
