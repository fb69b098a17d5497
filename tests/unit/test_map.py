"""The map of a report: whose outlines it has, what it marks, and what a topology may say of it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.model.outlines import drawn_countries, outlines_of
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.country import where
from shutdownlab.reporting.page.map import bounds, map_of
from shutdownlab.results.run import Run

MOST_BYTES = 40_000


@pytest.fixture(scope="module")
def flagship() -> RunAccount:
    shutdown = sl.load("kazakhstan-2022")
    return account_of(shutdown, sl.verify(shutdown))


def account_of(shutdown: sl.Shutdown, found: sl.Verified) -> RunAccount:
    return RunAccount("run", "verified", found.manifest, found.results, (), shutdown)


def rings(path: str) -> list[list[tuple[int, int]]]:
    found = []
    for ring in path.split("M")[1:]:
        x = y = 0
        points = []
        numbers = [int(each) for each in re.findall(r"-?\d+", ring)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            points.append((x, y))
        found.append(points)
    return found


def is_within(x: float, y: float, path: str) -> bool:
    """By the number of borders to its right."""
    inside = False
    for ring in rings(path):
        for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1], strict=True):
            if (ay > y) != (by > y) and x < ax + (bx - ax) * (y - ay) / (by - ay):
                inside = not inside
    return inside


@pytest.mark.parametrize("country", drawn_countries())
def test_outlines_lie_in_their_drawing_and_are_small(country: str) -> None:
    outlines = outlines_of(country)
    assert outlines is not None
    file = Path(library.__file__).parent / "model/outlines" / f"{country}.json"
    assert file.stat().st_size <= MOST_BYTES
    for key, area in outlines.areas.items():
        left, top, right, bottom = bounds(area.path)
        assert (left >= 0, top >= 0, right <= outlines.width, bottom <= outlines.height) == (True,) * 4, key
        assert area.title and key.startswith(country)


@pytest.mark.parametrize(
    ("country", "latitude", "longitude", "key"),
    [
        ("KZ", 43.65, 51.17, "KZ.MG"),  # Aktau
        ("KZ", 49.80, 73.10, "KZ.QG"),  # Karaganda
        ("IR", 31.32, 48.67, "IR.KZ"),  # Ahvaz
        ("SY", 36.20, 37.15, "SY.HL"),  # Aleppo
        ("UZ", 42.46, 59.61, "UZ.QR"),  # Nukus
        ("IN", 34.08, 74.80, "IN.JK"),  # Srinagar
        ("IN", 28.61, 77.21, "IN.DL"),  # New Delhi
    ],
)
def test_a_town_lies_in_the_outline_of_its_region(country: str, latitude: float, longitude: float, key: str) -> None:
    outlines = outlines_of(country)
    assert outlines is not None
    at = outlines.place(latitude, longitude)
    assert at is not None
    assert [name for name, area in outlines.areas.items() if is_within(*at, area.path)] == [key]


def test_shymkent_is_marked_within_the_region_that_it_belonged_to(flagship: RunAccount) -> None:
    drawn = map_of(flagship)
    assert drawn is not None
    (shymkent,) = (region for region in drawn.regions if region.name == "shymkent")
    assert shymkent.is_disc and not shymkent.outline
    assert is_within(shymkent.x, shymkent.y, drawn.outlines.areas["KZ.SK"].path)
    assert "KZ.ULY" not in drawn.outlines.areas, "Ulytau is a region since June 2022"
    assert {region.name for region in drawn.regions if region.is_disc} == {"almaty", "nur-sultan", "shymkent"}


def test_every_operator_has_a_panel_that_colours_the_regions_it_is_in(flagship: RunAccount) -> None:
    page = where(flagship)
    worst = flagship.spans[flagship.worst].name
    assert worst == "blackout"
    assert page.count("<svg viewBox") == 1 + len(flagship.operators)
    assert page.count(' d="M') == 6, "each outline stands once: five regions' and that of all the others"
    almaty = re.findall(r'<circle [^>]*class="pg-area (pg-l\d)" data-operator="kcell" data-region="almaty"', page)
    assert almaty == ["pg-l1"]
    assert "<title>Almaty: 14%</title>" in page
    assert "<title>Mangystau: not measured</title>" in page, "Transtelecom has nobody there"


def test_a_country_without_outlines_is_drawn_as_tiles() -> None:
    shutdown = sl.load("first-shutdown")
    account = account_of(shutdown, sl.verify(shutdown))
    assert map_of(account) is None
    page = where(account)
    assert "<svg" not in page
    assert page.count("<li class=") == 6


def test_the_rest_is_all_that_no_other_region_has() -> None:
    shutdown = sl.load("belarus-august-2020")
    drawn = map_of(account_of(shutdown, sl.verify(shutdown)))
    assert drawn is not None
    assert list(drawn.paths) == ["pg-outline-0", "pg-outline-1"], "nothing is left over"
    assert [region.is_named for region in drawn.regions] == [True, False]


def test_names_of_places_that_are_near_each_other_do_not_lie_on_each_other() -> None:
    shutdown = sl.load("kashmir-2019")
    page = where(account_of(shutdown, sl.verify(shutdown)))
    names = re.findall(r'<text x="(\d+)" y="(-?\d+)"[^>]*>([^<]+)</text>', page)

    assert len(names) == 6
    for at, (x, y, name) in enumerate(names):
        for other_x, other_y, other in names[:at]:
            apart = abs(int(y) - int(other_y)) >= 38 or abs(int(x) - int(other_x)) >= 19 * (len(name) + len(other)) / 2
            assert apart, (name, other)


def test_a_run_whose_scenario_is_gone_has_tiles() -> None:
    run = Run.open(Path(__file__).parents[1] / "data/run-0.1")
    account = RunAccount("run", run.status, run.manifest, run.results, (), None, "it is gone")
    assert "pg-tiles" in where(account) and "<svg" not in where(account)


def test_no_name_lies_on_a_disc_and_each_is_beside_its_own() -> None:
    shutdown = sl.load("kashmir-2019")
    page = where(account_of(shutdown, sl.verify(shutdown)))
    drawing = page[page.index("<svg viewBox") : page.index("</svg>", page.index("<svg viewBox"))]
    named = re.findall(r'<circle cx="(\d+)" cy="(\d+)" r="(\d+)"[^>]*data-title="([^"]+)"', drawing)
    discs = {title: (int(x), int(y), int(r)) for x, y, r, title in named}
    texts = re.findall(r'<text x="(\d+)" y="(\d+)" text-anchor="(\w+)"[^>]*>([^<]+)</text>', drawing)
    texts = [each for each in texts if each[3] != "Delhi"]  # it has an outline that is large enough

    assert len(discs) == len(texts) == 5
    for x, baseline, anchor, text in texts:
        length = 23 * len(text)  # at 38 px, the size on a phone
        left = int(x) - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
        own = next(title for title in discs if title.startswith(text.removesuffix(" …")))
        apart = {
            title: math.hypot(
                max(left - cx, cx - left - length, 0), max(int(baseline) - 28 - cy, cy - int(baseline) - 8, 0)
            )
            for title, (cx, cy, _) in discs.items()
        }
        assert all(apart[title] >= radius for title, (_, _, radius) in discs.items()), (text, apart)
        assert apart[own] < 3 * discs[own][2], (text, apart)


def test_a_region_that_is_not_on_the_map_is_reported_and_grey_land_is_not_said_to_be_unmeasured() -> None:
    shutdown = sl.load("afghanistan-2025")
    page = where(account_of(shutdown, sl.verify(shutdown)))
    assert "Not on the map, as the topology names no outlines of it: About fifteen provinces; see the tiles." in page
    assert " not measured, or not on the map</li>" in page
    cuba = sl.load("cuba-2021")
    whole = where(account_of(cuba, sl.verify(cuba)))
    assert "on the map" not in whole and " not measured</li>" in whole
