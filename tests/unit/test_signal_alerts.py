"""Alerts over outside signals, by the rules of IODA and of Cloudflare Radar."""

from __future__ import annotations

import random
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import process_time

import pytest

from shutdownlab.results.reading import Reading
from shutdownlab.signals.alerts import RULES, Alert, alerts_of, severity
from shutdownlab.signals.calendar import DAY, WEEK, Calendar, calendar_of
from shutdownlab.signals.forecast import against_forecast
from shutdownlab.signals.medians import _by_stretches, _round_by_round, against_median
from shutdownlab.signals.series import Series, Stretch, series_of

START = datetime(2022, 1, 3, tzinfo=UTC)  # a Monday


def over(signal: str, *values: tuple[float, float], days: float = 10) -> Series:
    """A series of the values at these hours."""
    phases = [(f"phase-{place}", START + timedelta(hours=hour)) for place, (hour, _) in enumerate(values)]
    calendar = calendar_of(phases, START + timedelta(days=days))
    readings = [
        Reading(signal, name, "country", "", "both", value, "share", "measured")
        for (name, _), (_, value) in zip(phases, values, strict=True)
    ]
    (made,) = series_of(readings, calendar).values()
    return made


def hours(calendar: Calendar, minute: int) -> float:
    return (minute - calendar.quiet_until) / 60


def told(made: Series) -> list[tuple[float, float, str]]:
    """Hours at which an alert is raised and ends, and its level."""
    calendar = made.calendar
    return [(hours(calendar, a.raised), hours(calendar, a.ends), a.level) for a in alerts_of(made)]


@pytest.mark.parametrize(
    ("signal", "value", "level"),
    [
        ("bgp", 0.99, None), ("bgp", 0.98, "warning"), ("bgp", 0.5, "warning"), ("bgp", 0.49, "critical"),
        ("active-probing", 0.8, None), ("active-probing", 0.79, "warning"), ("active-probing", 0.49, "critical"),
        ("telescope", 0.25, None), ("telescope", 0.24, "warning"), ("telescope", 0.09, "critical"),
    ],
)  # fmt: skip
def test_iodas_thresholds_are_those_of_its_help_page(signal: str, value: float, level: str | None) -> None:
    assert [alert.level for alert in alerts_of(over(signal, (0, 1), (3, value), (6, 1)))] == ([level] if level else [])


def test_an_alert_is_raised_in_the_first_round_that_sees_the_drop() -> None:
    assert told(over("active-probing", (0, 1), (3.05, 0), (6, 1))) == [(pytest.approx(3 + 10 / 60), 6, "critical")]


def test_bgp_that_stays_away_is_usual_after_half_a_day_and_its_return_raises_nothing() -> None:
    ((_, ends, _),) = told(over("bgp", (0, 1), (24, 0), (96, 1)))
    assert ends == pytest.approx(24 + 12 + 5 / 60, abs=0.1)


def test_probing_that_stays_away_is_usual_after_half_a_week() -> None:
    ((_, ends, _),) = told(over("active-probing", (0, 1), (24, 0)))
    assert ends == pytest.approx(24 + 84, abs=0.4)


def test_what_has_been_critical_is_critical_until_it_is_normal() -> None:
    (alert,) = alerts_of(over("bgp", (0, 1), (3, 0.9), (4, 0.2), (5, 0.9), (6, 1)))
    assert alert.level == "critical"
    made = over("bgp", (0, 1), (3, 0.9), (4, 0.2), (5, 0.9), (6, 1))
    calendar = made.calendar
    assert alert.critical is not None
    assert [hours(calendar, m) for m in (alert.begins, alert.critical, alert.ends)] == [3, 4, 6]


def test_the_area_of_an_alert_is_the_drop_in_percent_times_its_minutes() -> None:
    (alert,) = alerts_of(over("bgp", (0, 1), (3, 0.75), (4, 0.25), (5, 1)))
    assert alert.area == pytest.approx(25 * 60 + 75 * 60)
    assert alert.lowest == 0.25


def test_the_overall_score_is_the_product_over_the_sources_that_alerted() -> None:
    one, other = (Alert(0, 0, None, 60, 0.5, area) for area in (3000.0, 20.0))
    assert severity([[one], [], [other, other]]) == 3000 * 40
    assert severity([[], []]) == 0


def test_a_drop_of_volume_counts_against_the_same_hours_of_days_like_the_last() -> None:
    made = over("cdn", (0, 1), (50, 0.1), (56, 1))
    assert told(made) == [(50.5, 56, "critical")]
    quiet = [piece for piece in against_forecast(made) if piece.end <= made.calendar.start("phase-1")]
    assert quiet and all(piece.value / piece.usual == pytest.approx(1, abs=0.09) for piece in quiet)


def test_a_drop_of_volume_that_lasts_no_half_hour_is_passed_over() -> None:
    assert told(over("cdn", (0, 1), (50, 0), (50.5, 1))) == []
    assert len(told(over("cdn", (0, 1), (50, 0), (50.6, 1)))) == 1


def test_the_six_days_most_like_the_last_one_say_what_comes_next() -> None:
    made = over("http3", (0, 1), (24, 0.5), (48, 1), (72, 0.5), (96, 1))
    days: dict[int, set[float]] = {}
    for piece in against_forecast(made):
        days.setdefault(piece.start // DAY - made.calendar.quiet_until // DAY, set()).add(piece.usual)
    # After the first dark day all days before are equally unlike it; after the second, only one was followed by light.
    assert (days[1], days[2], days[3]) == ({1.0}, {1.0}, {1.0})


def test_an_ordinary_month_raises_no_alert() -> None:
    for signal in ("bgp", "active-probing", "telescope", "cdn", "http3", "dns-queries", "atlas-home"):
        assert alerts_of(over(signal, (0, 1), days=30)) == [], signal


def test_a_median_found_by_stretches_is_that_of_every_round() -> None:
    drawn = random.Random(7)
    for _ in range(60):
        step, window = 10, 10 * drawn.randrange(2, 40)
        edges = [0, *sorted(drawn.sample(range(10, 1500, 10), drawn.randrange(1, 20))), 1500]
        stretches = [Stretch(start, end, drawn.choice([0.0, 0.3, 0.5, 1.0]), "held") for start, end in pairwise(edges)]
        fast = {m: p[2:] for p in _by_stretches(stretches, step, window) for m in range(p.start, p.end, step)}
        slow = {p.start: p[2:] for p in _round_by_round(stretches, step, window)}
        values = [s.value for s in stretches for _ in range(s.start, s.end, step)]
        assert fast == slow
        for place in range(window // step, len(values)):
            assert slow[place * step][1] == statistics.median(values[place - window // step : place])


def test_ten_days_of_every_signal_are_judged_within_two_seconds() -> None:
    made = [
        over(signal, *((hour, hour % 3 / 2) for hour in range(0, 240, 12)))
        for signal in ("bgp", "active-probing", "telescope", "cdn", "http3", "mobile", "dns-queries", "atlas-home")
        for _ in range(12)
    ]
    began = process_time()
    assert all(alerts_of(series) for series in made)
    assert process_time() - began < 2


def test_noise_within_a_threshold_raises_nothing_and_beyond_it_does() -> None:
    assert alerts_of(over("active-probing", (0, 1)).noisy(0.02, seed=3)) == []
    assert alerts_of(over("bgp", (0, 1)).noisy(0.02, seed=3)) != []


def test_windows_are_a_day_for_bgp_and_a_week_for_the_others() -> None:
    assert [RULES[name].window for name in ("ioda-bgp", "ioda-active-probing", "ioda-telescope")] == [DAY, WEEK, WEEK]
    assert next(against_median(over("bgp", (0, 1)).stretches, 5, DAY)).start == DAY
