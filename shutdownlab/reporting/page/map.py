"""The map: the outlines of a country's regions, once per operator; the script colours them by phase. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_LINE = 38
"""The height of a label there, in units."""
_BELOW = 8
"""How much of that height is below the letters' baseline."""
_HIDDEN, _FAR, _WRONG = 20, 5, 200
"""What a square unit of a disc that a label covers, a unit of distance from its region and another disc that is nearer
cost it; a square unit of another label costs 1."""
_SWEEPS, _TRIES = 3, 6
"""How often each name is placed among the others, and from how many orders of the names the best outcome is taken."""
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

    def missing(self, titles: Mapping[str, str]) -> list[str]:
        """Returns the titles of the regions that are not on the map. titles: those of all regions, by name."""
        there = {region.name for region in self.regions}
        return [title for name, title in titles.items() if name not in there]

    def land(self, titles: Mapping[str, str]) -> str:
        """Returns what land without a colour is: it may be of a region that is not on the map."""
        return "not measured, or not on the map" if self.missing(titles) else "not measured"

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
            class_, text = share(region.name)
            title = element("title", f"{region.title}: {text}")
            where = {"data_operator": operator, "data_region": region.name, "data_title": region.title}
            if region.outline:
                yield element("use", title, href=f"#{region.outline}", class_=f"pg-area {class_}", **where)
            if region.is_disc:
                x, y = round(region.x), round(region.y)
                yield element("circle", title, cx=x, cy=y, r=_RADIUS, class_=f"pg-area {class_}", **where)

    def _labels(self) -> Iterator[Html]:
        """Yields the regions' names, each beside its region where it covers least of the other names and of discs."""
        regions = [region for region in self.regions if region.is_named]
        discs = {region.name: _disc(region) for region in self.regions if region.is_disc}
        names = [shorten(each.title, int(self.outlines.width / _LETTER), placeholder=" …") for each in regions]
        ways = [self._ways(region, len(name) * _LETTER) for region, name in zip(regions, names, strict=True)]
        ranked = sorted(range(len(regions)), key=lambda place: len(ways[place]))  # first who has fewest ways
        alone = [[label.cost(regions[place], discs) for label in labels] for place, labels in enumerate(ways)]
        tried = [_placed(ways, alone, [*ranked[at:], *ranked[:at]]) for at in range(min(len(ranked), _TRIES))]
        chosen = min(tried, key=lambda each: each[0])[1] if tried else []
        for place, name in enumerate(names):
            label = ways[place][chosen[place]]
            x, y = round(label.x), round(label.y)
            yield element("text", name, x=x, y=y, text_anchor=label.anchor, class_="pg-place")

    def _ways(self, region: MappedRegion, length: float) -> list[_Label]:
        """Returns where a region's name of that length may stand within the drawing, the best first."""
        x, y, half = region.x, region.y, length / 2
        middle = min(max(x, half), self.outlines.width - half)
        rows = [y + 9 + row * _LINE for row in (0, -1, 1, -2, 2)]
        if not region.is_disc:
            return [_Label("middle", middle, row, length) for row in rows]
        edge = _RADIUS + 8
        ways = [_Label("middle", middle, row, length) for row in (y + _RADIUS + 28, y - _RADIUS - 10)]
        for row in rows:
            ways += [_Label("start", x + edge, row, length), _Label("end", x - edge, row, length)]
        width, height = self.outlines.width, self.outlines.height
        boxes = [label.box for label in ways]
        inside = [box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height for box in boxes]
        return [label for label, fits in zip(ways, inside, strict=True) if fits] or ways[:1]


@dataclass(frozen=True, slots=True)
class _Label:
    """Where a name may stand. anchor: which part of it is at x: "start", "middle" or "end". y: of its baseline."""

    anchor: str
    x: float
    y: float
    length: float

    @property
    def box(self) -> _Box:
        left = self.x - {"start": 0, "middle": self.length / 2, "end": self.length}[self.anchor]
        return _Box(left, self.y + _BELOW - _LINE, left + self.length, self.y + _BELOW)

    def cost(self, region: MappedRegion, discs: Mapping[str, _Box]) -> float:
        """Returns how bad it is without other names: how much it covers of discs, how far it is from its region, and
        to how many other discs it is nearer."""
        own = self.box.distance(_disc(region))
        nearer = sum(self.box.distance(disc) < own for name, disc in discs.items() if name != region.name)
        covered = sum(self.box.overlap(disc) for disc in discs.values())
        return _HIDDEN * covered + _FAR * own + _WRONG * nearer


def _placed(ways: Sequence[Sequence[_Label]], alone: list[list[float]], order: list[int]) -> tuple[float, list[int]]:
    """Places names one after the other, several times over, each where it is best beside the others.

    alone: the cost of each way without other names. Returns the cost of all, and which of its ways each name has.
    """
    boxes = [[label.box for label in labels] for labels in ways]
    chosen, costs = dict[int, int](), dict[int, float]()
    for place in order * _SWEEPS:
        others = [boxes[at][way] for at, way in chosen.items() if at != place]
        both = [own + sum(box.overlap(o) for o in others) for own, box in zip(alone[place], boxes[place], strict=True)]
        costs[place] = min(both)
        chosen[place] = both.index(costs[place])
    return sum(costs.values()), [chosen[place] for place in range(len(ways))]


def _disc(region: MappedRegion) -> _Box:
    return _Box(region.x - _RADIUS, region.y - _RADIUS, region.x + _RADIUS, region.y + _RADIUS)


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        """Returns the area that both cover, in square units; 0 if they are apart."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0

    def distance(self, other: _Box) -> float:
        """Returns how far apart they are; 0 if they touch."""
        across = max(self.left - other.right, other.left - self.right, 0)
        return math.hypot(across, max(self.top - other.bottom, other.top - self.bottom, 0))


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
