"""Draws the outside signals of the country over the scenario's time, a small curve each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shutdownlab.reporting.figure.reach import time_axis
from shutdownlab.reporting.figure.sheet import (
    DASHED,
    INK,
    LINE,
    RULE,
    SMALL,
    SOFT,
    figure,
    sheet,
    shortened,
    text,
)
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.axis import Axis
from shutdownlab.reporting.page.markup import Html, element
from shutdownlab.reporting.svg import width_of
from shutdownlab.results.reading import Reading
from shutdownlab.signals.catalogue import place_of, title_of

_ROW, _HIGH, _TOP = 26.0, 19.0, 6.0
_LABELS, _MOST_LABELS = 0.27, 0.4


def signals(account: RunAccount, readings: Sequence[Reading], width: float) -> str:
    """Returns the figure, an SVG document `width` points wide: for each signal of the whole country and each address
    family a row with the reading of each phase, in the catalogue's order.

    Readings that were not measured (modelled or held) are dashed, unless none was measured.
    """
    rows: dict[tuple[str, str], dict[str, Reading]] = {}
    for reading in readings:
        if reading.scope == "country":
            rows.setdefault((reading.signal, reading.family), {})[reading.phase] = reading
    longest = max((width_of(title_of(signal)) for signal, _ in rows), default=0.0)
    left, right = min(max(46.0, width * _LABELS, longest + 6), width * _MOST_LABELS), width - 4
    axis = Axis(account.spans, left, right, max(2, int(width / 40)))
    bottom = _TOP + _ROW * len(rows)
    measured = {reading.basis == "measured" for of_phase in rows.values() for reading in of_phase.values()}
    parts = list(time_axis(axis, _TOP, bottom))
    in_order = sorted(rows.items(), key=lambda each: place_of(each[0][0]))
    for place, ((signal, family), of_phase) in enumerate(in_order):
        parts += _curve(axis, signal, family, of_phase, _TOP + place * _ROW, is_mixed=len(measured) == 2)
    title = f"{account.title}: what outside signals showed of the country"
    if False in measured:
        note = "dashed: modelled or held, not measured" if True in measured else "modelled, not measured"
        parts.append(text(note, left, bottom + 18, size=SMALL, fill=SOFT))
    return sheet(width, bottom + 23, title, parts)


def _curve(
    axis: Axis, signal: str, family: str, of_phase: dict[str, Reading], top: float, *, is_mixed: bool
) -> Iterator[Html]:
    """Yields a row. is_mixed: some readings of the figure were measured and others not, which are dashed then."""
    unit = next(iter(of_phase.values())).unit
    highest = max(reading.value for reading in of_phase.values())
    full = max(1.0, highest) if unit == "share" else highest or 1.0
    label = f"0 to {full:.0%}" if unit == "share" else f"0 to {full:,.0f}"
    below = label if family == "both" else f"{family.replace('ipv', 'IPv')}, {label}"
    yield text(shortened(title_of(signal), axis.left - 6), axis.left - 4, top + 8, anchor="end", fill=INK)
    yield text(below, axis.left - 4, top + 15.5, anchor="end", size=SMALL - 0.8, fill=SOFT)
    base = top + _HIGH
    yield element("path", d=f"M{figure(axis.left)} {figure(base)}H{figure(axis.right)}", stroke=RULE, stroke_width=0.4)
    drawn: list[tuple[str, str]] = []  # a path for each stretch of readings of one basis: dashes begin anew in each
    before: float | None = None
    for place, span in enumerate(axis.spans):
        reading = of_phase.get(span.name)
        if reading is None:
            before = None
            continue
        x, wide = axis.of(place)
        y = base - _HIGH * reading.value / full
        dash = DASHED if is_mixed and reading.basis != "measured" else ""
        step = f"V{figure(y)}h{figure(wide)}"
        if before is not None and drawn[-1][1] == dash:
            drawn[-1] = drawn[-1][0] + step, dash
        else:
            drawn.append((f"M{figure(x)} {figure(y if before is None else before)}{step}", dash))
        before = y
    for path, dash in drawn:
        yield element("path", d=path, fill="none", stroke=LINE, stroke_width=0.9, stroke_dasharray=dash or None)
