"""The scenario's time as the horizontal axis of a drawing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from shutdownlab.reporting.page.account import PhaseSpan

_STEPS = (1 / 60, 1 / 12, 1 / 4, 1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 14, 24 * 30, 24 * 90, 24 * 180, 24 * 365)
"""Hours between two marks."""


class Axis:
    """Where a moment is between `left` and `right`, with at most so many `marks`; where nothing says how long phases
    lasted, each is as wide as another."""

    def __init__(self, spans: tuple[PhaseSpan, ...], left: float, right: float, marks: int = 12) -> None:
        self.spans, self.left, self.right, self._most = spans, left, right, marks
        self.begin = spans[0].at
        known = sum(span.hours for span in spans)
        last = spans[-1]
        # a last phase without an end is drawn as long as the others are on average
        self.end = last.until or last.at + timedelta(hours=max(1.0, known / max(1, len(spans) - 1)))
        self._whole = (self.end - self.begin).total_seconds() or 1.0

    def x(self, moment: datetime) -> float:
        return self.left + (self.right - self.left) * (moment - self.begin).total_seconds() / self._whole

    def of(self, place: int) -> tuple[float, float]:
        """Left edge and width of a phase."""
        span = self.spans[place]
        left = self.x(span.at)
        return left, self.x(span.until or self.end) - left

    def marks(self) -> Iterator[tuple[float, str]]:
        """Round moments, and what to call them; with the year the first of each, where there are several."""
        hours, year = self._whole / 3_600, 0
        has_years = self.begin.year != self.end.year
        most = self._most * 2 // 3 if has_years else self._most  # those with a year are wider
        step = next((step for step in _STEPS if hours / step <= most), _STEPS[-1])
        seconds = round(step * 3_600)
        stamp = -(-self.begin.timestamp() // seconds) * seconds
        while stamp <= self.end.timestamp():
            moment = datetime.fromtimestamp(stamp, UTC)
            told = f"{moment:%H:%M}" if moment.hour or moment.minute else f"{moment.day} {moment:%b}"
            if has_years and year != moment.year and ":" not in told:
                told, year = f"{told} {moment:%Y}", moment.year
            yield self.x(moment), told
            stamp += seconds
