"""Draws the share of subscribers who got through to each service over the scenario's time. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.reporting.figure.sheet import (
    LOST,
    REACHED,
    RULE,
    SLOW,
    SMALL,
    SOFT,
    figure,
    legend,
    rect,
    sheet,
    shortened,
    text,
)
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.axis import Axis
from shutdownlab.reporting.page.markup import Html, element

_ROW, _BAR, _TOP, _GAP = 10.5, 8.0, 4.0, 4.0
_SEAM = 0.12
"""The overlap of neighbouring phases, in points, so that no seam shows between two of the same colour."""
_LABELS = 0.24
"""The labels' share of the width."""


def reach(account: RunAccount, width: float) -> str:
    """Returns the figure, an SVG document `width` points wide: a row for each service, filled to the share of ordinary
    subscribers who got through."""
    columns = [*account.services, *account.outside]
    left, right = max(40.0, width * _LABELS), width - 4
    axis = Axis(account.spans, left, right, max(2, int(width / 40)))
    bottom = _TOP + _ROW * len(columns)
    parts = list(time_axis(axis, _TOP, bottom))
    for row, column in enumerate(columns):
        parts += _service(account, axis, column, _TOP + row * _ROW)
    found = [(REACHED, "got through"), (LOST, "did not get through")]
    if any(share.slow for share in account.table.shares.values()):
        found.insert(1, (SLOW, "slowly"))
    key, last = legend(found, left, bottom + 19, right)
    title = f"{account.title}: share of ordinary subscribers who got through, by service"
    return sheet(width, last + _GAP, title, [*parts, *key])


def time_axis(axis: Axis, top: float, bottom: float) -> Iterator[Html]:
    """Yields the axis: dates below it, and thin vertical lines above."""
    for x, label in axis.marks():
        yield element("path", d=f"M{figure(x)} {figure(top)}V{figure(bottom + 2)}", stroke=RULE, stroke_width=0.5)
        if x < axis.right - 1.6 * len(label):  # a centred label needs room to the right, too
            yield text(label, x, bottom + 8.5, anchor="middle", size=SMALL, fill=SOFT)
    yield element("path", d=f"M{figure(axis.left)} {figure(bottom)}H{figure(axis.right)}", stroke=SOFT,
                  stroke_width=0.5)  # fmt: skip


def _service(account: RunAccount, axis: Axis, column: str, top: float) -> Iterator[Html]:
    yield text(shortened(column, axis.left - 6), axis.left - 4, top + _BAR - 1.6, anchor="end")
    for place, span in enumerate(account.spans):
        share = account.table[span.name, column]
        left, wide = axis.of(place)
        if share.fraction is None:
            yield element("path", d=f"M{figure(left)} {figure(top + _BAR)}h{figure(wide)}", stroke=SOFT,
                          stroke_width=0.5, stroke_dasharray="1 1.5")  # fmt: skip
            continue
        lost = _BAR * (1 - share.fraction)
        slow = _BAR * (share.slow / share.measured if share.measured else 0.0)
        for offset, high, colour in ((0.0, lost, LOST), (lost, slow, SLOW), (lost + slow, _BAR - lost - slow, REACHED)):
            if high > 0:
                yield rect(left, top + offset, max(wide + _SEAM, 0.3), high, colour)
