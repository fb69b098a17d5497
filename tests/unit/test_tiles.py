"""Tiles of a country without outlines stand as its regions lie, north up; and the page says why there is no map."""

from __future__ import annotations

import re

import pytest

import shutdownlab as sl
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.country import where
from shutdownlab.reporting.page.tiles import TileGrid

KENYA = {
    "mandera": (3.94, 41.86), "turkana": (3.12, 35.60), "mombasa": (-4.04, 39.67), "nairobi": (-1.29, 36.82),
    "kisumu": (-0.09, 34.77), "garissa": (-0.45, 39.65),
}  # fmt: skip


def test_what_lies_further_north_stands_no_lower_and_in_a_row_the_west_is_left() -> None:
    grid = TileGrid(KENYA)
    rows = sorted({row for row, _ in grid.at.values()})
    drawn = [sorted((c, name) for name, (r, c) in grid.at.items() if r == row) for row in rows]

    names = [[name for _, name in row] for row in drawn]
    assert names == [["turkana", "mandera"], ["kisumu", "garissa"], ["nairobi", "mombasa"]]
    assert len(set(grid.at.values())) == len(KENYA), "no two at one place"


@pytest.mark.parametrize(
    ("places", "shape"),
    [
        ({f"r{n}": (50.0, 10.0 * n) for n in range(4)}, (1, 4)),
        ({f"r{n}": (10.0 * n, 30.0) for n in range(4)}, (4, 1)),
        ({f"r{n}": (50.0, 5.0 * n) for n in range(17)}, (4, 5)),
        ({"one": (55.76, 37.62)}, (1, 1)),
        ({}, (0, 0)),
    ],
    ids=["wide", "tall", "wider than a phone", "a single one", "none"],
)
def test_a_grid_is_as_tall_and_wide_as_its_country_and_never_wider_than_five(
    places: dict[str, tuple[float, float]], shape: tuple[int, int]
) -> None:
    grid = TileGrid(places)

    assert (max((row for row, _ in grid.at.values()), default=0), grid.across) == shape


def test_what_lies_in_no_one_place_stands_below_all_others() -> None:
    grid = TileGrid({"elsewhere": None, **KENYA, "campuses": None})

    assert grid.loose == ("elsewhere", "campuses")
    assert {grid.at[name][0] for name in grid.loose} == {4}


def tiled(name: str) -> str:
    shutdown = sl.load(name)
    found = sl.verify(shutdown)
    return where(RunAccount("run", "verified", found.manifest, found.results, (), shutdown))


def test_the_page_says_why_there_is_no_map_and_how_the_tiles_stand() -> None:
    page = tiled("bangladesh-2024")

    assert "no outlines" in page and "north up" in page
    assert "Below them, in no one place: Four more universities, The other campuses of 59 and Elsewhere." in page
    assert re.search(r'data-region="shahbagh" style="grid-row: 1; grid-column: 2"', page)


def test_where_nothing_says_where_regions_lie_that_is_said() -> None:
    assert "Nor does it say where they lie" in tiled("first-shutdown")
