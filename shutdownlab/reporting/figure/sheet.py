"""The sheet on which figures are drawn: its size, its fonts and the report's light colours. Pure.

The unit is the point, 1/72 inch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from shutdownlab.config.wording import on_one_line
from shutdownlab.reporting.page.markup import Html, element
from shutdownlab.reporting.svg import fitted, width_of

LOST, SLOW, REACHED, DOWN = "#9c3406", "#f2b705", "#a9cfe8", "#6b4e9b"
LEVELS: Final = ("#9c3406", "#c75f1d", "#e8995a", "#f7d3ae", "#dcebf5", "#eef5fa")
"""The colours of shares, from nobody to everybody: `pg-l0` to `pg-l5` in the page's style."""
LEVEL_NAMES: Final = ("0%", "≤ 25%", "≤ 50%", "≤ 75%", "< 100%", "100%")
INK, SOFT, RULE, LAND = "#18212b", "#56626f", "#d5dbe1", "#c3ccd4"
LINE: Final = "#0b5c8f"
"""The colour of signals."""
DASHED: Final = "4 2"
SMALL, BODY = 6.0, 7.0
FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
_POINTS = 72 / 25.4


def points(millimetres: float) -> float:
    """Converts millimetres to points."""
    return millimetres * _POINTS


def sheet(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Returns the figure as an SVG document."""
    shown = [element("title", title), element("rect", width=figure(width), height=figure(height), fill="#ffffff")]
    shown += [part if isinstance(part, Html) else Html(part) for part in parts]
    drawing = element(
        "svg", shown, xmlns="http://www.w3.org/2000/svg", width=f"{figure(width)}pt", height=f"{figure(height)}pt",
        viewBox=f"0 0 {figure(width)} {figure(height)}", font_family=FONT, font_size=BODY, fill=INK,
    )  # fmt: skip
    return f"{drawing}\n"


def in_points(drawing: str) -> str:
    """Returns the same figure with sizes without `pt`: the PDF converter makes each unit of the drawing one point."""
    return drawing.replace('pt"', '"', 2)


def text(
    words: str, x: float, y: float, *, anchor: str = "start", size: float = BODY, fill: str = INK, halo: float = 0
) -> Html:
    """Returns a line of text with its baseline at `y`.

    halo: the width of a white line around its letters, in points; 0: none.
    """
    return element(
        "text", words, x=figure(x), y=figure(y), text_anchor=anchor, font_size=size, fill=fill,
        stroke="#ffffff" if halo else None, stroke_width=halo or None, stroke_linejoin="round" if halo else None,
        paint_order="stroke" if halo else None,
    )  # fmt: skip


def rect(x: float, y: float, width: float, height: float, fill: str) -> Html:
    """Returns a filled rectangle."""
    return element("rect", x=figure(x), y=figure(y), width=figure(width), height=figure(height), fill=fill)


def shortened(words: str, room: float, size: float = BODY) -> str:
    """Fits a text into `room` points by leaving out its middle."""
    words = on_one_line(words)
    most = len(words)
    while most > 2 and width_of(fitted(words, most), size) > room:
        most -= 1
    return fitted(words, most)


def legend(items: Sequence[tuple[str, str]], left: float, y: float, right: float) -> tuple[list[Html], float]:
    """Returns swatches with their meanings, in as many lines as needed from the baseline `y` on, and the last baseline.

    items: colours and meanings.
    """
    parts, x = list[Html](), left
    for colour, words in items:
        wide = 9 + width_of(words, SMALL) + 8
        if x > left and x + wide - 8 > right:
            x, y = left, y + 9
        parts.append(element("rect", x=figure(x), y=figure(y - 5.2), width=6.5, height=6, fill=colour, stroke=SOFT,
                             stroke_width=0.3))  # fmt: skip
        parts.append(text(words, x + 9, y, size=SMALL))
        x += wide
    return parts, y


def figure(value: float) -> str:
    """Formats a coordinate, with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
