"""What outsiders would see of a country that is steered: BGP as it is in the transits' tables, all else marked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import cells_of
from shutdownlab.web.history import Moment, as_shutdown
from shutdownlab.web.ledger import Ledger
from shutdownlab.web.seen_abroad import SeenAbroad
from shutdownlab.web.steered_view import SteeredView

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def base() -> Shutdown:
    found = sl.load("first-shutdown")
    assert isinstance(found, Shutdown)
    return found


@pytest.fixture
def ledger(base: Shutdown) -> Ledger:
    """A quiet moment, and a blackout after it, all of both measured: then nothing gets through."""
    found = Ledger(10)
    quiet = Moment("up", "The country is up", BEGIN, (), (), None, whole=False)
    cut = Moment("cut", "Start blackout", BEGIN + timedelta(seconds=9), ("blackout",), (), None, whole=False)
    for moment, outcome in ((quiet, Outcome.OK), (cut, Outcome.BLOCKED)):
        found.begin(moment)
        shutdown = as_shutdown(base, {}, found.moments, moment.at + timedelta(seconds=5))
        for cell in cells_of(shutdown, shutdown.scenario.phase(moment.name)):
            found.take(shutdown, moment, cell, LabMeasurement(outcome, None, "certain", None, "", 0.1, {}))
        found.complete(moment)
    return found


def everything(base: Shutdown) -> frozenset[str]:
    return frozenset(str(p) for operator in base.topology.operators.values() for p in operator.prefixes)


def told(base: Shutdown, ledger: Ledger, seen: SeenAbroad) -> dict[str, Any]:
    return SteeredView(base, {}, ledger, seen=seen).view()


def test_prefixes_count_as_visible_that_more_than_half_of_the_transits_have_a_route_to(base: Shutdown) -> None:
    seen, routes = SeenAbroad(base), everything(base)
    northnet = {str(p) for p in base.topology.operators["northnet"].prefixes if p.version == 4}
    transits = list(base.topology.transits)
    assert len(transits) == 2
    seen.look("one", {transits[0]: routes, transits[1]: routes - northnet})
    bgp = {(r.scope, r.of, r.family): r.value for r in seen.readings(["one"])}

    assert bgp["operator", "northnet", "ipv4"] == 0
    assert bgp["operator", "southcell", "ipv4"] == bgp["country", "", "ipv6"] == 1
    assert 0 < bgp["country", "", "ipv4"] < 1


def test_the_same_tables_are_no_news(base: Shutdown) -> None:
    seen, tables = SeenAbroad(base), dict.fromkeys(base.topology.transits, everything(base))

    assert [seen.look(moment, tables) for moment in ("one", "one", "two")] == [True, False, True]


def test_a_blackout_falls_in_what_was_measured_and_in_what_is_modelled_and_each_says_which(
    base: Shutdown, ledger: Ledger
) -> None:
    seen = SeenAbroad(base)
    contents = ledger.contents()
    shutdown = as_shutdown(base, {}, contents.moments, BEGIN + timedelta(seconds=20))
    for moment in contents.moments:
        seen.look(moment.name, dict.fromkeys(base.topology.transits, everything(base)))
        assert seen.measured(shutdown, moment.name, contents.results[moment.name])
        assert not seen.measured(shutdown, moment.name, contents.results[moment.name]), "nothing has changed"
    values = {
        (r.signal, r.phase, r.basis): r.value
        for r in seen.readings(["up", "cut"])
        if r.scope == "country" and r.family != "ipv6"
    }

    assert (values["bgp", "up", "measured"], values["bgp", "cut", "measured"]) == (1, 1)
    assert (values["cdn", "up", "measured"], values["cdn", "cut", "measured"]) == (1, 0)
    assert values["active-probing", "up", "modelled"] == 1
    assert 0 < values["active-probing", "cut", "modelled"] < 0.01, "who is exempt still answers"


def test_the_page_of_a_steered_country_draws_the_curves_and_asks_no_detector(base: Shutdown, ledger: Ledger) -> None:
    seen = SeenAbroad(base)
    assert told(base, ledger, seen)["view/outside"] == ""

    seen.look("up", dict.fromkeys(base.topology.transits, everything(base)))
    seen.look("cut", dict.fromkeys(base.topology.transits, frozenset[str]()))
    view = told(base, ledger, seen)
    assert view["view/timeline"].count('class="pg-signal"') == 4, "two families, in two moments"
    assert "BGP, IPv4" in view["view/outside"] and "0%" in view["view/outside"]
    assert "alert" not in view["view/outside"] + view["view/timeline"] + view["view/top"]
    assert "What outsiders saw" in view["view/top"], "the contents lead there"
    assert "Now WhatsApp" in view["view/top"], "it goes on: no record has ended"


def test_moments_that_are_forgotten_are_forgotten_here_too(base: Shutdown) -> None:
    seen = SeenAbroad(base)
    for name in ("one", "two"):
        seen.look(name, dict.fromkeys(base.topology.transits, everything(base)))

    assert {reading.phase for reading in seen.readings(["two"])} == {"two"}
    assert seen.readings(["one"]) == []
