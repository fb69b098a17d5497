"""A CDN's volume in the shape in which Cloudflare Radar and Google publish it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from countries import small_country

from shutdownlab.observers.volume import volumes
from shutdownlab.results.reading import Reading, Scope

MONDAY = datetime(2022, 1, 3, 12, tzinfo=UTC)


def reading(signal: str, scope: Scope, of: str, value: float) -> Reading:
    return Reading(signal, "blackout", scope, of, "both", value, "share", "modelled")


def files(ends: timedelta, offset: timedelta = timedelta(0)) -> dict[str, list[tuple[str, float]]]:
    readings = [reading("cdn", "country", "", 0.5), reading("cdn", "operator", "southcell", 0.0)]
    readings += [reading("cdn", "region", "coast", 1.0), reading("http3", "country", "", 1.0)]
    found = volumes(readings, small_country().topology, MONDAY, MONDAY + ends, offset)
    rows = {name: list(csv.reader(io.StringIO(content.decode()))) for name, content in found.items()}
    assert all(each.pop(0) == ["timestamps", "values"] for each in rows.values())
    return {name: [(at, float(value)) for at, value in each] for name, each in rows.items()}


def test_the_country_and_each_operator_have_a_series_from_the_phase_s_beginning_to_its_end() -> None:
    found = files(timedelta(hours=1))
    assert found.keys() == {"ZZ.20220103.1200.csv", "AS64502.20220103.1200.csv"}
    assert [at for at, _ in found["ZZ.20220103.1200.csv"]] == [
        f"2022-01-03T12:{minute:02}:00Z" for minute in (0, 15, 30, 45)
    ]
    assert {value for _, value in found["AS64502.20220103.1200.csv"]} == {0.0}


def test_volume_follows_the_day_of_the_country_s_own_clocks() -> None:
    series = dict(files(timedelta(days=1))["ZZ.20220103.1200.csv"])
    assert max(series, key=series.__getitem__) == "2022-01-03T21:00:00Z" and max(series.values()) == pytest.approx(0.5)
    later = dict(files(timedelta(days=1), timedelta(hours=6))["ZZ.20220103.1200.csv"])
    assert max(later, key=later.__getitem__) == "2022-01-03T15:00:00Z"
