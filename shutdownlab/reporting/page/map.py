"""The map: the outlines of a country's regions, once per operator; the script colours them by phase. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import shorten

from shutdownlab.model.outlines import CountryOutlines, outlines_of
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.markup import Html, element

_MARGIN = 14
_SMALL = 34
"""Regions smaller than this are marked with a disc; in units of the drawing, which is about a thousand wide."""
_RADIUS = 15
_LETTER = 24
"""The average width of a letter of a label, in units, on a phone, where letters are largest."""
_LINE = 40
"""The height of a label there, in units."""
_NUMBERS = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class MappedRegion:
    """A region on the map.

    outline: the id of its outline's path, or "". x, y: the position of its label and disc. is_disc: whether it is
    marked with a disc, as it is too small or only has a place. is_named: whether it has a label; a region that is the
    rest of the country (`outlines: rest`) has none.
    """

    name: str
    title: str
    outline: str
    x: float
    y: float
    is_disc: bool
    is_named: bool


@dataclass(frozen=True, slots=True)
class CountryMap:
    """The map of a run's country. `definitions` is in the page once; the panels refer to its outlines."""

    outlines: CountryOutlines
    regions: tuple[MappedRegion, ...]
    paths: dict[str, str]

    def definitions(self) -> Html:
        """Returns the outlines as an SVG that shows nothing itself; the panels refer to them."""
        shapes = (element("path", id_=name, d=path) for name, path in self.paths.items())
        return element(
            "svg", element("defs", shapes), width=0, height=0, class_="pg-defs", aria_hidden="true", focusable="false"
        )

    def panel(self, operator: str, label: str, share: Callable[[str], tuple[str, str]], *, named: bool) -> Html:
        """Returns the map for one operator, or for all if `operator` is empty.

        share: returns a region's CSS class and its share in words. named: whether regions are labelled.
        """
        width, height = self.outlines.width, self.outlines.height
        land = [element("use", href=f"#{name}", class_="pg-land") for name in self.paths]
        shapes = [*land, *self._coloured(operator, share)]
        if named:
            shapes += self._labels()
        box = f"{-_MARGIN} {-_MARGIN} {width + 2 * _MARGIN} {height + 2 * _MARGIN}"
        return element("svg", shapes, viewBox=box, class_="pg-map", role="img", aria_label=label)

    def _coloured(self, operator: str, share: Callable[[str], tuple[str, str]]) -> Iterator[Html]:
        for region in sorted(self.regions, key=lambda region: region.is_disc):
            class_, said = share(region.name)
            title = element("title", f"{region.title}: {said}")
            where = {"data_operator": operator, "data_region": region.name, "data_title": region.title}
            if region.outline:
                yield element("use", title, href=f"#{region.outline}", class_=f"pg-area {class_}", **where)
            if region.is_disc:
                x, y = round(region.x), round(region.y)
                yield element("circle", title, cx=x, cy=y, r=_RADIUS, class_=f"pg-area {class_}", **where)

    def _labels(self) -> Iterator[Html]:
        """Yields the regions' names within the drawing; a name is moved up if another one is in its place."""
        taken: list[tuple[float, float, float]] = []
        for region in (region for region in self.regions if region.is_named):
            name = shorten(region.title, int(self.outlines.width / _LETTER), placeholder=" …")
            half = len(name) * _LETTER / 2
            x = min(max(region.x, half), self.outlines.width - half)
            above = region.y - _RADIUS - 10
            ways = [region.y + (_RADIUS + 28 if region.is_disc else 9), above, above - _LINE]
            free = [y for y in ways if y <= self.outlines.height and not any(_overlap((x, y, half), t) for t in taken)]
            y = (free or [above])[0]
            taken.append((x, y, half))
            yield element("text", name, x=round(x), y=round(y), text_anchor="middle", class_="pg-place")


def _overlap(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether two one-line names overlap: each as the x of its middle, the y of its baseline, and half its width."""
    (x, y, half), (other_x, other_y, other_half) = one, other
    return abs(x - other_x) < half + other_half and abs(y - other_y) < _LINE


def map_of(account: RunAccount) -> CountryMap | None:
    """Returns the map of a run's country; None if there are no outlines of the country, if no region has an outline or
    a place, or if the scenario is missing."""
    if account.shutdown is None:
        return None
    topology = account.shutdown.topology
    outlines = outlines_of(topology.country)
    drawn = [name for name in account.regions if topology.regions[name].outlines or topology.regions[name].place]
    if outlines is None or not drawn:
        return None
    named = {key for region in topology.regions.values() if region.outlines != "rest" for key in region.outlines}
    paths, regions, used = dict[str, str](), list[MappedRegion](), set[str]()
    for place, name in enumerate(drawn):
        region = topology.regions[name]
        keys = sorted(outlines.areas.keys() - named) if region.outlines == "rest" else list(region.outlines)
        used.update(keys)
        path = "".join(outlines.areas[key].path for key in keys)
        identity = f"pg-outline-{place}" if path else ""
        if path:
            paths[identity] = path
        left, top, right, bottom = bounds(path) if path else (0, 0, 0, 0)
        x, y = (left + right) / 2, (top + bottom) / 2
        disc = max(right - left, bottom - top) < _SMALL
        if region.place is not None:
            at = outlines.place(*region.place)
            x, y, disc = (*at, True) if at is not None else (x, y, disc)
        is_named = region.outlines != "rest"
        regions.append(MappedRegion(name, account.regions[name], identity, x, y, disc, is_named))
    other = "".join(area.path for key, area in outlines.areas.items() if key not in used)
    if other:
        paths = {"pg-outline-other": other, **paths}
    return CountryMap(outlines, tuple(regions), paths)


def bounds(path: str) -> tuple[int, int, int, int]:
    """Returns the left, top, right and bottom of an outline's path: rings of an absolute point and relative ones."""
    across, down = list[int](), list[int]()
    for ring in path.split("M")[1:]:
        numbers = [int(each) for each in _NUMBERS.findall(ring)]
        x = y = 0
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            across.append(x)
            down.append(y)
    return min(across), min(down), max(across), max(down)
