"""People who turn to tools as sites fall: the model, and the files in Tor Metrics' and Top10VPN's form."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from countries import small_country

from shutdownlab.library import load
from shutdownlab.observers.demand import demand_files
from shutdownlab.results.reading import Reading
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.demand import GAINS, demand
from shutdownlab.verifier.outside import Outside

BEGINS = datetime(2030, 5, 1, tzinfo=UTC)
PHASES = [("quiet", BEGINS), ("blocks", BEGINS + timedelta(hours=12)), ("blackout", BEGINS + timedelta(days=2))]
ENDS = BEGINS + timedelta(days=3)


@pytest.mark.parametrize(
    ("name", "reached", "lost", "value"),
    [("vpn-demand", 1, 0, 1), ("vpn-demand", 1, 0.5, 6), ("vpn-demand", 0, 1, 0), ("tor-relays", 0.5, 1, 1)],
)
def test_who_misses_something_looks_for_a_way_around_where_there_is_any(
    name: str, reached: float, lost: float, value: float
) -> None:
    [known] = [each for each in GAINS if each == name]
    assert demand(known, reached, lost) == value


def files(value: float) -> dict[str, list[dict[str, str]]]:
    readings = [
        Reading(name, phase, "country", "", "both", share, "share", "modelled")
        for name in GAINS
        for phase, share in (("quiet", 1.0), ("blocks", value), ("blackout", 0.0))
    ]
    found = demand_files(readings, small_country().topology, calendar_of(PHASES, ENDS), ENDS)
    texts = {name: content.decode().splitlines() for name, content in found.items()}
    assert all(lines[0].startswith("# ") for lines in texts.values()), "as Tor Metrics' files begin"
    return {name: list(csv.DictReader(lines[1:])) for name, lines in texts.items()}


def test_a_day_has_the_mean_of_its_hours_and_quiet_days_stand_before() -> None:
    found = files(3.0)
    relays = {row["date"]: int(row["users"]) for row in found["userstats-relay-country.csv"]}
    quiet = relays["2030-04-30"]
    assert quiet > 0 and min(relays) == "2030-04-02" and max(relays) == "2030-05-03"
    assert [relays[day] / quiet for day in ("2030-05-01", "2030-05-02", "2030-05-03")] == [2, 3, 0]
    assert found["userstats-relay-country.csv"][0].keys() == {"date", "country", "users", "lower", "upper", "frac"}


def test_bridges_are_distinguished_by_transport() -> None:
    found = files(3.0)
    whole = {row["date"]: int(row["users"]) for row in found["userstats-bridge-country.csv"]}
    split: dict[str, int] = {}
    for row in found["userstats-bridge-combined.csv"]:
        split[row["date"]] = split.get(row["date"], 0) + int(row["low"])
    assert {row["transport"] for row in found["userstats-bridge-combined.csv"]} == {"obfs4", "<OR>"}
    assert split == pytest.approx(whole, abs=1)


def test_the_index_of_vpn_demand_is_against_the_days_before() -> None:
    index = {row["date"]: (row["index"], row["increase"]) for row in files(11.0)["vpn-demand.csv"]}
    assert index["2030-04-30"] == ("100", "+0%")
    assert index["2030-05-01"] == ("600", "+500%")
    assert index["2030-05-03"] == ("0", "-100%")


@cache
def outside(scenario: str) -> Outside:
    loaded = load(scenario)
    return Outside(loaded, loaded.scenario.default_choices())


def test_in_a_shutdown_demand_rises_while_sites_are_blocked_and_nobody_gets_through_in_a_blackout() -> None:
    seen = outside("kazakhstan-2022")
    scenario = seen.shutdown.scenario

    def country(phase: str, signal: str) -> float:
        return next(r.value for r in seen.of(scenario.phase(phase), [signal]) if r.scope == "country")

    assert country("baseline", "vpn-demand") == 1 < country("messengers", "vpn-demand")
    assert country("messengers", "tor-bridges") > country("messengers", "tor-relays") > 0
    assert {country("blackout", name) for name in GAINS} == {0}
