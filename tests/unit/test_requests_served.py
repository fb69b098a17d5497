"""A CDN's volume in a run: from requests that got through, where probes asked, else from the model."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import pytest

import shutdownlab as sl
from shutdownlab.library import load
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.topology import VantageId
from shutdownlab.observers.requests import served
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.verifier.outside import Outside

SCENARIO = "first-shutdown"
COAST = VantageId("southcell", "coast", "ordinary")
CAPITAL = VantageId("southcell", "capital", "ordinary")


@cache
def outside() -> Outside:
    loaded = load(SCENARIO)
    return Outside(loaded, loaded.scenario.default_choices())


@cache
def results() -> tuple[Result, ...]:
    return tuple(sl.verify(SCENARIO).results)


def got(phase: str, of: Iterable[Result] | None = None) -> dict[VantageId, float]:
    loaded = load(SCENARIO)
    mine = [r for r in (results() if of is None else of) if r.phase == phase]
    return served(mine, loaded.scenario.probes, loaded.network, outside().sites.hosts)


def volumes(phase: str, found: dict[VantageId, float]) -> dict[tuple[str, str], Reading]:
    readings = outside().volumes(load(SCENARIO).scenario.phase(phase), found)
    return {(r.signal, r.of): r for r in readings}


def country(phase: str, found: dict[VantageId, float]) -> tuple[float, str]:
    reading = volumes(phase, found)["cdn", ""]
    return round(reading.value, 3), reading.basis


def test_pages_abroad_count_and_those_at_home_do_not() -> None:
    assert (got("one-way")[COAST], got("one-way")[CAPITAL]) == (0, 1)
    at_home = [r for r in results() if r.target in {"kaspi.kz", "egov.kz"}]
    assert got("baseline", at_home) == {}


@pytest.mark.parametrize("phase", ["baseline", "messenger", "one-way", "blackout", "restored"])
def test_what_got_through_is_what_the_model_says_where_all_was_asked(phase: str) -> None:
    model = {(r.signal, r.of): r.value for r in outside().of(load(SCENARIO).scenario.phase(phase), ["cdn", "mobile"])}
    found = volumes(phase, got(phase))
    assert {key: r.value for key, r in found.items()} == pytest.approx(model)
    assert {r.basis for r in found.values()} == {"measured"}


def test_a_line_that_was_not_asked_has_the_model_s_word_and_the_sum_says_so() -> None:
    some = {vantage: each for vantage, each in got("one-way").items() if vantage != COAST}
    whole, part = got("one-way"), some
    assert country("one-way", whole) == (0.6, "measured") and country("one-way", part) == (0.6, "modelled")
    assert volumes("one-way", part)["cdn", "northnet"].basis == "measured"


def test_how_much_a_slow_line_takes_is_the_model_s_word_whatever_a_download_ran() -> None:
    phase = "mobile-throttled"
    ran = [r.model_copy(update={"value": 1250.0, "unit": "kbit/s"}) if r.target == "speed" else r for r in results()]
    for found in (got(phase), got(phase, ran)):
        assert country(phase, found) == (0.47, "modelled")
        assert volumes(phase, found)["cdn", "northnet"].basis == "measured"


def test_what_has_no_verdict_or_is_held_is_not_counted() -> None:
    unknown = [r.model_copy(update={"outcome": Outcome.UNKNOWN}) for r in results()]
    held = [r.model_copy(update={"held": "baseline"}) for r in results()]
    assert got("one-way", unknown) == got("one-way", held) == {}
