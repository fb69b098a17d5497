"""Pieces of a topology's drawing as SVG: text that fits its room, boxes, curves, colours for light and dark. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape as html_escape
from typing import Final

from shutdownlab.config.wording import on_one_line

MONO: Final = 6.05
"""The width of a character of a node's name, in units."""
SQUEEZED: Final = 1.25
"""A text up to this many times as wide as its room is condensed; a wider one loses its middle."""
_NARROW, _WIDE, _BOLD = frozenset("fijlrtI.,:;|'!()[]/ -·…"), frozenset("mwMW@%&—"), 1.1
"""Characters much narrower or wider than most, and how much wider bold ones are, in the widest of the usual fonts."""
_COLOURS: Final = {  # light, dark
    "page": ("#ffffff", "#14181d"),
    "lane": ("#f3f5f7", "#1e242b"),
    "box": ("#ffffff", "#283039"),
    "ink": ("#1c2430", "#e8edf2"),
    "soft": ("#5a6675", "#a3b0bd"),
    "link": ("#97a3b0", "#66727f"),
    "edge": ("#5b6670", "#8d99a6"),
    "dpi": ("#f7c69a", "#8a4f17"),
    "gate": ("#f4b8b8", "#8a3434"),
    "switch": ("#c6dbf3", "#2b527d"),
    "router": ("#cfe8cd", "#2c5a33"),
    "government": ("#fbe59b", "#6d5a10"),
    "datacentre": ("#dcd3f2", "#4d4178"),
    "sky": ("#7a3fb0", "#c79bf0"),
    "own": ("#d5efec", "#1d5550"),
    "buys": ("#1f6fb2", "#6db7f2"),
    "gone": ("#b3261e", "#ff8a80"),
}


def fill(colour: str) -> str:
    """Returns a fill as an attribute, which every SVG reader knows, and as a class, for viewers that prefer dark."""
    return f'class="{colour}" fill="{_COLOURS[colour][0]}"'


def stroke(colour: str, more: str = "") -> str:
    return f'class="s-{colour}" fill="none" stroke="{_COLOURS[colour][0]}"{more}'


EDGE: Final = f'stroke="{_COLOURS["edge"][0]}"'
DARK: Final = "".join(
    f".{name} {{ fill: {dark} }} .s-{name} {{ stroke: {dark} }} " for name, (_, dark) in _COLOURS.items()
)


def within(name: str, owner: str, room: float) -> str:
    """Returns a node's name, or, if there is no room, the part that distinguishes it from its operator's others."""
    return name if len(name) * MONO <= room * SQUEEZED else f"…{name.removeprefix(f'{owner}-')}"


def curve(x1: float, y1: float, x2: float, y2: float, line: str = "") -> str:
    bend = (x1 + x2) / 2
    return f'<path d="M{x1} {y1:.1f} C{bend} {y1:.1f} {bend} {y2:.1f} {x2} {y2:.1f}" {line or stroke("link")}/>'


def box(
    column: tuple[float, float], top: float, height: float, lines: Sequence[str], colour: str, title: str, node: str
) -> str:
    left, width = column
    first = top + height / 2 + 3.5 - (len(lines) - 1) * 6
    names = "".join(
        node_name(left + width / 2, first + row * 12, line, width - 6, "middle") for row, line in enumerate(lines)
    )
    return (
        f'<g data-node="{escaped(node)}"><title>{escaped(title)}</title>'
        f'<rect x="{left}" y="{top:.1f}" width="{width}" height="{height}" rx="3" '
        f"{fill(colour)} {EDGE}/>{names}</g>"
    )


def node_name(x: float, y: float, name: str, room: float, anchor: str = "") -> str:
    """Returns a node's name or address, condensed if need be, and in full if at all possible."""
    shown = fitted(name, int(room * SQUEEZED / MONO))
    narrow = f' textLength="{room:.0f}" lengthAdjust="spacingAndGlyphs"' if len(shown) * MONO > room else ""
    font = ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"'
    return text(x, y, shown, size=10, anchor=anchor, more=font + narrow)


def text(
    x: float,
    y: float,
    words: str,
    colour: str = "ink",
    *,
    size: int = 11,
    bold: bool = False,
    anchor: str = "",
    more: str = "",
    room: float = 0,
) -> str:
    """Returns a text. With `room`, it is condensed if it could be wider in the widest of the usual fonts, and loses its
    middle if that is not enough."""
    if room:
        most = room * SQUEEZED
        while len(words) > 1 and width_of(words, size, bold=bold) > most:
            words = fitted(words, min(len(words) - 1, int(len(words) * most / width_of(words, size, bold=bold)) + 1))
        if width_of(words, size, bold=bold) > room:
            more += f' textLength="{room:.0f}" lengthAdjust="spacingAndGlyphs"'
    weight = ' font-weight="bold"' if bold else ""
    height = f' font-size="{size}"' if size != 11 else ""
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:g}" y="{y:.1f}" {fill(colour)}{height}{weight}{at}{more}>{escaped(words)}</text>'


def width_of(text: str, size: float = 11, *, bold: bool = False) -> float:
    """Estimates the maximum width of a text; characters from U+2E80 on, such as Chinese ones, are nearly square."""
    ems = sum(
        0.4 if char in _NARROW else 0.95 if char in _WIDE or char > "\u2e7f" else 0.7 if char.isupper() else 0.625
        for char in text
    )
    return ems * size * (_BOLD if bold else 1)


def fitted(text: str, most: int) -> str:
    """Shortens a text to `most` characters by leaving out its middle, as both ends distinguish names."""
    if len(text) <= most:
        return text
    end = max(0, (most - 1) // 3)
    return f"{text[: most - 1 - end]}…{text[len(text) - end :] if end else ''}"


def escaped(text: str) -> str:
    """Escapes a text for XML; control characters, most of which XML does not allow, are made visible."""
    return html_escape(on_one_line(text))
