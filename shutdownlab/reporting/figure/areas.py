"""Draws the country's regions in one phase, for all operators together and for each. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.reporting.figure.sheet import (
    BODY,
    INK,
    LAND,
    LEVEL_NAMES,
    LEVELS,
    SMALL,
    figure,
    legend,
    rect,
    sheet,
    shortened,
    text,
)
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.country import ALL, mean_share
from shutdownlab.reporting.page.map import CountryMap, map_of
from shutdownlab.reporting.page.markup import Html, element
from shutdownlab.reporting.page.tables import level
from shutdownlab.reporting.page.words import short
from shutdownlab.results.table import percent

_GAP, _HEAD, _TILE = 8.0, 11.0, 17.0
_NARROW = 60.0
"""The minimum width of a panel, in points."""
_PERCENT = 28.0
"""Kept free for a tile's share, with the space on either side of it, in points."""
_DISC = 2.6
_HALO = 1.4
"""The width of the white line around names, which stand on land of any colour; in points."""


def areas(account: RunAccount, place: int, width: float) -> str:
    """Returns the figure, an SVG document `width` points wide, of the phase with index `place`: a panel for all
    operators and one for each. A panel is a map, or tiles if the country has none."""
    drawn, span = map_of(account), account.spans[place]
    head = f"All operators, phase {span.name}, from {short(span.at, with_year=True)} UTC"
    parts: list[Html] = [text(shortened(head, width), 1, 8)]
    parts += _panel(account, drawn, span.name, ALL, (1, 13, width - 2))
    bottom = 13 + _height(account, drawn, width - 2) + _GAP
    panels = list(account.operators.items()) if len(account.operators) > 1 else []
    across = max(1, min(3, len(panels), int((width + _GAP) / (_NARROW + _GAP))))
    wide = (width - 2 - _GAP * (across - 1)) / across
    high = _HEAD + _height(account, drawn, wide)
    for number, (operator, title) in enumerate(panels):
        x, y = 1 + (number % across) * (wide + _GAP), bottom + (number // across) * (high + _GAP)
        parts.append(text(shortened(title, wide, SMALL), x, y + 6, size=SMALL))
        parts += _panel(account, drawn, span.name, operator, (x, y + _HEAD, wide))
    bottom += -(-len(panels) // across) * (high + _GAP)
    land = drawn.land(account.regions) if drawn else "not measured"
    named = [*zip(LEVELS, LEVEL_NAMES, strict=True), (LAND, land)]
    key, last = legend(named, 1, bottom + 5, width - 1)
    title = f"{account.title}: share of ordinary subscribers who got through in {span.name}, by region and operator"
    return sheet(width, last + 4, title, [*parts, *key])


def _height(account: RunAccount, drawn: CountryMap | None, wide: float) -> float:
    return wide * drawn.outlines.height / drawn.outlines.width if drawn else _TILE * len(account.regions)


def _colour(account: RunAccount, phase: str, operator: str, region: str) -> tuple[str, float | None]:
    share = mean_share(account, phase, operator, region)
    return LAND if share is None else LEVELS[int(level(share).removeprefix("pg-l"))], share


def _panel(
    account: RunAccount, drawn: CountryMap | None, phase: str, operator: str, at: tuple[float, float, float]
) -> Iterator[Html]:
    x, y, wide = at
    if drawn is None:
        for row, (name, title) in enumerate(account.regions.items()):
            colour, share = _colour(account, phase, operator, name)
            ink = "#ffffff" if colour == LEVELS[0] else INK
            yield rect(x, y + row * _TILE, wide, _TILE - 2, colour)
            yield text(shortened(title, wide - _PERCENT), x + 3, y + row * _TILE + 10, fill=ink)
            label = "·" if share is None else f"{percent(share)}%"
            yield text(label, x + wide - 3, y + row * _TILE + 10, anchor="end", size=BODY, fill=ink)
        return
    scale = wide / drawn.outlines.width
    shapes = [_shape(path, LAND, "#ffffff", scale) for path in drawn.paths.values()]
    marks = []
    for region in drawn.regions:
        colour, _ = _colour(account, phase, operator, region.name)
        if region.outline:
            shapes.append(_shape(drawn.paths[region.outline], colour, INK, scale))
        if region.is_disc:
            marks.append(element("circle", cx=figure(x + region.x * scale), cy=figure(y + region.y * scale), r=_DISC,
                                 fill=colour, stroke=INK, stroke_width=0.5))  # fmt: skip
    yield element("g", shapes, transform=f"translate({figure(x)} {figure(y)}) scale({scale:.5f})")
    yield from marks
    if operator == ALL:
        for region in (region for region in drawn.regions if region.is_named):
            half = len(region.title) * SMALL * 0.29
            across = min(max(x + region.x * scale, x + half), x + wide - half)
            down = y + region.y * scale + (9 if region.is_disc else 2)
            yield text(region.title, across, down, anchor="middle", size=SMALL, halo=_HALO)


def _shape(path: str, fill: str, stroke: str, scale: float) -> Html:
    return element("path", d=path, fill=fill, stroke=stroke, stroke_width=figure(0.4 / scale), stroke_linejoin="round")
