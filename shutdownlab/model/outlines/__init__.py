"""Outlines of countries' first-level regions, for maps: which ones ship, and how they are drawn.

They are Natural Earth's, 1:10m (public domain); `scripts/outlines` made the files, and proves their origin. A country's
regions are those of about 2012 to 2016: Kazakhstan's are from before June 2022, with Shymkent in South Kazakhstan.
Disputed borders are drawn as Natural Earth has them, by de facto control. India is the north only, as far as Delhi.
Countries whose topologies have no such regions are drawn as tiles, arranged like the regions if those have a `place`:
Bangladesh's campuses, Russia's one region.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Area:
    """A first-level region: its name, and an SVG path in the units of its country's drawing."""

    title: str
    path: str


@dataclass(frozen=True, slots=True)
class CountryOutlines:
    """A country's regions in one drawing, `width` by `height` units; north is up.

    areas: by Natural Earth's key (`code_hasc`), such as KZ.AT. west, north: degrees of the left and upper edge.
    per_degree: units of a degree of longitude and of latitude.
    """

    width: int
    height: int
    west: float
    north: float
    per_degree: tuple[float, float]
    areas: Mapping[str, Area]

    def place(self, latitude: float, longitude: float) -> tuple[float, float] | None:
        """Returns a point's position in the drawing; None if it is outside."""
        x = (longitude - self.west) * self.per_degree[0]
        y = (self.north - latitude) * self.per_degree[1]
        return (x, y) if 0 <= x <= self.width and 0 <= y <= self.height else None


@cache
def drawn_countries() -> tuple[str, ...]:
    """Returns the countries with outlines, by ISO 3166-1's two letters."""
    names = (item.name for item in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


@cache
def outlines_of(country: str) -> CountryOutlines | None:
    """Returns a country's outlines; None if there are none."""
    if country not in drawn_countries():
        return None
    found = json.loads((files(__name__) / f"{country}.json").read_text(encoding="utf-8"))
    areas = {key: Area(area["title"], area["path"]) for key, area in found["areas"].items()}
    across, down = found["per_degree"]
    return CountryOutlines(found["width"], found["height"], found["west"], found["north"], (across, down), areas)
