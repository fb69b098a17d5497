"""Series of outside signals over a scenario's calendar: measured at a phase, held in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from shutdownlab.results.reading import Basis, Reading
from shutdownlab.signals.calendar import DAY, WARM_UP_DAYS, Calendar, calendar_of
from shutdownlab.signals.curve import curve, usual
from shutdownlab.signals.series import Series, series_of

START = datetime(2022, 1, 5, 10, 30, tzinfo=UTC)
CALENDAR = calendar_of(
    [("calm", START), ("dark", START + timedelta(hours=4, minutes=3)), ("back", START + timedelta(hours=9))],
    START + timedelta(days=1),
    utc_offset=6 * 3600,
)


def reading(signal: str, phase: str, value: float, basis: Basis = "measured", of: str = "") -> Reading:
    return Reading(signal, phase, "operator" if of else "country", of, "both", value, "share", basis)


def series(signal: str, calendar: Calendar = CALENDAR, **values: float) -> Series:
    (made,) = series_of([reading(signal, phase, value) for phase, value in values.items()], calendar).values()
    return made


def test_the_calendar_begins_with_quiet_days_at_a_midnight_of_the_countrys_clocks() -> None:
    assert CALENDAR.begins == datetime(2021, 12, 6, 18, 0, tzinfo=UTC)  # Tuesday, 00:00 at UTC+6
    assert CALENDAR.first_minute_of_week == DAY
    assert CALENDAR.time(CALENDAR.quiet_until) == START
    assert CALENDAR.quiet_until >= WARM_UP_DAYS * DAY
    assert (CALENDAR.phase_at(0), CALENDAR.phase_at(CALENDAR.start("dark"))) == ("", "dark")
    assert CALENDAR.end("dark") == CALENDAR.start("back") and CALENDAR.end("back") == CALENDAR.ends


def test_a_value_is_measured_in_the_first_round_of_its_phase_and_held_until_the_next() -> None:
    made = series("bgp", calm=1, dark=0.25, back=0.5)
    dark = CALENDAR.start("dark")  # 14:33: the round of 14:35 sees it
    points = list(made.points(dark - 5, CALENDAR.end("dark") + 5))
    assert points[0][1:] == (1, "held")
    assert points[1] == (START + timedelta(hours=4, minutes=5), 0.25, "measured")
    assert {point[1:] for point in points[2:-1]} == {(0.25, "held")}
    assert points[-1][1:] == (0.5, "measured")
    assert made.level(0) == 1 and next(made.points()).basis == "modelled"


@pytest.mark.parametrize(("signal", "step"), [("telescope", 1), ("bgp", 5), ("active-probing", 10)])
def test_each_signal_has_a_value_at_its_own_resolution_over_the_whole_calendar(signal: str, step: int) -> None:
    points = list(series(signal, calm=1, dark=0).points())
    assert len(points) == -(-CALENDAR.ends // step)
    assert {later.at - sooner.at for sooner, later in pairwise(points)} == {timedelta(minutes=step)}


def test_a_phase_that_no_round_sees_is_not_in_the_series() -> None:
    quick = calendar_of(
        [("calm", START), ("blink", START + timedelta(minutes=1)), ("calm-again", START + timedelta(minutes=4))],
        START + timedelta(hours=1),
    )
    assert series("active-probing", quick, calm=1, blink=0, **{"calm-again": 1}).lowest(0, quick.ends) == 1
    assert series("telescope", quick, calm=1, blink=0, **{"calm-again": 1}).lowest(0, quick.ends) == 0


def test_a_phase_without_a_reading_holds_the_value_before() -> None:
    made = series("http3", calm=1, back=0.5)
    assert made.level(CALENDAR.start("dark") + 10) == 1
    assert made.level(CALENDAR.start("back") + 10) == 0.5


def test_counts_are_quiet_at_their_first_value() -> None:
    counts = [
        Reading("telescope", "calm", "country", "", "ipv4", 1200.0, "count", "measured"),
        Reading("telescope", "dark", "country", "", "ipv4", 3.0, "count", "measured"),
    ]
    (made,) = series_of(counts, CALENDAR).values()
    assert (made.level(0), made.level(CALENDAR.start("dark") + 1)) == (1200, 3)


def test_volume_follows_the_day_and_a_share_does_not() -> None:
    volume = [point.value for point in series("cdn", calm=1).points(0, DAY)]
    assert max(volume) == usual(DAY + 21 * 60) == max(curve())
    assert volume.index(min(volume)) in range(8 * 12, 10 * 12)  # between 8 and 10
    assert {point.value for point in series("http3", calm=1).points(0, DAY)} == {1.0}


def test_noise_is_the_same_for_the_same_seed_and_another_for_another_series() -> None:
    made = series("bgp", calm=1, dark=0)
    noisy = made.noisy(0.05, seed=1)
    assert noisy.stretches == made.noisy(0.05, seed=1).stretches != made.noisy(0.05, seed=2).stretches
    values = [stretch.value for stretch in noisy.stretches if stretch.end <= CALENDAR.quiet_until]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(1, abs=0.005)
    assert sum((v - mean) ** 2 for v in values) / len(values) == pytest.approx(0.05**2, rel=0.1)
    assert noisy.highest(CALENDAR.start("dark") + 5, CALENDAR.start("back")) == 0, "nothing is nothing"


def test_means_and_extremes_are_of_the_time_asked_for() -> None:
    made = series("telescope", calm=1, dark=0.2, back=0.8)
    dark, back = CALENDAR.start("dark"), CALENDAR.start("back")
    assert (made.lowest(dark, back), made.highest(dark, back)) == (0.2, 0.2)
    assert made.mean(dark, back + (back - dark)) == pytest.approx(0.5)
