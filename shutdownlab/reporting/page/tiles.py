"""Arranges the tiles of regions as the regions lie, north up, in a country without outlines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Final, TypeAlias

Place: TypeAlias = tuple[float, float]
"""Latitude and longitude, in degrees."""
_MOST_ACROSS: Final = 5
"""The number of tiles that can be read side by side on a phone."""
_USUAL_ACROSS: Final = 3


class TileGrid:
    """A grid with a tile for each region that lies in one place, and rows below for those that do not.

    across: the number of columns. at: the row and column of each region, from 1. loose: the regions without a single
    place, such as those spread over the country.
    """

    def __init__(self, places: Mapping[str, Place | None]) -> None:
        """places: the regions' places, or None; regions without one are arranged in this order."""
        known = {name: place for name, place in places.items() if place is not None}
        self.loose = tuple(name for name in places if name not in known)
        rows = _rows(known)
        self.across = max([len(row) for row in rows] + [min(_USUAL_ACROSS, len(self.loose))])
        self.at: dict[str, tuple[int, int]] = {}
        for number, row in enumerate(rows, 1):
            first = (self.across - len(row)) // 2 + 1
            self.at |= {name: (number, first + place) for place, name in enumerate(row)}
        for place, name in enumerate(self.loose):
            self.at[name] = len(rows) + 1 + place // self.across, place % self.across + 1


def _rows(places: Mapping[str, Place]) -> list[list[str]]:
    """Returns the rows, northernmost first, each from west to east. Their number follows the country's ratio of height
    to width."""
    if not places:
        return []
    latitudes, longitudes = zip(*places.values(), strict=True)
    middle = math.radians((max(latitudes) + min(latitudes)) / 2)
    tall, wide = max(latitudes) - min(latitudes), (max(longitudes) - min(longitudes)) * math.cos(middle)
    count = round(math.sqrt(len(places) * tall / wide)) if wide else len(places)
    count = min(len(places), max(1, count, math.ceil(len(places) / _MOST_ACROSS)))
    southwards = sorted(places, key=lambda name: -places[name][0])
    ends = [round(len(places) * number / count) for number in range(count + 1)]
    rows = [southwards[first:last] for first, last in pairwise(ends)]
    return [sorted(row, key=lambda name: places[name][1]) for row in rows]
