"""`shutdownlab compare`: a published series and the emulated one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.config.problems import BadInput
from shutdownlab.signals.published import read_published, signal_of
from shutdownlab.verifier.outside import Outside

STEP = timedelta(minutes=30)
START, END = datetime(2019, 6, 8, tzinfo=UTC), datetime(2019, 6, 20, tzinfo=UTC)
EXAMS = [datetime(2019, 6, day, 1, tzinfo=UTC) for day in (9, 11, 13, 17, 19)]


def in_an_exam(at: datetime) -> bool:
    return any(exam <= at < exam + timedelta(hours=4, minutes=30) for exam in EXAMS)


def series(value: Callable[[datetime], float], column: str = "bgp") -> bytes:
    moments = [START + STEP * place for place in range(int((END - START) / STEP))]
    return "\n".join([f"time,{column}", *(f"{at:%Y-%m-%dT%H:%MZ},{value(at):g}" for at in moments)]).encode()


SEEN = series(lambda at: 0 if in_an_exam(at) else 4200)


def test_the_same_course_has_correlation_one_no_lag_and_no_error() -> None:
    found = sl.compare("syria-exams-2019", SEEN)
    assert (found.series.signal.name, found.lag) == ("bgp", 0)
    assert found.correlation == pytest.approx(1) and found.error == pytest.approx(0)
    exam, day = found.phases[1], found.phases[2]
    assert (exam.phase, exam.values, exam.published, exam.emulated) == ("exam-1", 9, 0, 0)
    assert (day.phase, day.published, day.emulated, day.error) == ("day-1", 1, 1, 0)


def test_a_series_that_is_late_is_reported_by_how_much() -> None:
    late = sl.compare("syria-exams-2019", series(lambda at: 0 if in_an_exam(at - timedelta(minutes=90)) else 1))
    early = sl.compare("syria-exams-2019", series(lambda at: 0 if in_an_exam(at + timedelta(minutes=60)) else 1))
    assert (late.lag, early.lag) == (90, -60)
    assert late.best == pytest.approx(1) and late.correlation is not None and late.correlation < 0.8


@pytest.mark.parametrize("seconds", [30, 60, 90])
def test_the_lag_of_values_that_are_not_whole_minutes_apart_is_right(seconds: int) -> None:
    step = timedelta(seconds=seconds)
    moments = [START + step * place for place in range(int(timedelta(days=4) / step))]
    rows = (f"{at:%Y-%m-%dT%H:%M:%SZ},{0 if in_an_exam(at - timedelta(minutes=30)) else 4200}" for at in moments)
    found = sl.compare("syria-exams-2019", "\n".join(["time,bgp", *rows]).encode())
    assert found.lag == 30 and found.best == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("level", ["1e308", "1e-300"])
def test_a_series_is_compared_by_its_course_however_large_its_values(level: str) -> None:
    found = sl.compare("syria-exams-2019", SEEN.replace(b"4200", level.encode()))
    assert found.correlation == pytest.approx(1) and found.error == pytest.approx(0)


def test_a_fall_to_half_is_half_an_error_in_that_phase_alone() -> None:
    found = sl.compare("syria-exams-2019", series(lambda at: 50 if in_an_exam(at) else 100))
    assert found.correlation == pytest.approx(1)
    assert {phase.phase: phase.error for phase in found.phases}["exam-3"] == pytest.approx(0.5)
    assert {phase.phase: phase.error for phase in found.phases}["day-3"] == pytest.approx(0)


def test_what_does_not_move_has_no_correlation() -> None:
    flat = sl.compare("syria-exams-2019", series(lambda _: 7))
    assert (flat.correlation, flat.lag, flat.best) == (None, None, None)
    assert flat.error == pytest.approx(
        5 * 4.5 / ((END - EXAMS[0] + timedelta(hours=13)).total_seconds() / 3600), rel=0.2
    )


@cache
def curve_of_the_day() -> bytes:
    """The emulated volume itself, as somebody would have published it."""
    from shutdownlab.signals.calendar import calendar_of
    from shutdownlab.signals.series import series_of

    loaded = sl.load("syria-exams-2019")
    seen = Outside(loaded, {})
    phases = loaded.scenario.timeline
    readings = [reading for phase in phases for reading in seen.of(phase, ["cdn"])]
    calendar = calendar_of([(p.phase, p.at) for p in phases], loaded.scenario.ends, loaded.scenario.utc_offset)
    volume = series_of(readings, calendar)["cdn", "country", "", "both"]
    return series(lambda at: 1000 * volume.at(calendar.minute(at)), "bytes")


def test_a_published_day_is_laid_over_the_mean_of_that_day() -> None:
    days = [START + timedelta(days=each) for each in range(-3, 12)]
    off = {exam.date() for exam in EXAMS}
    whole = b"".join(
        b"%b,%d\n" % (f"{day:%Y-%m-%d}T00:00Z".encode(), 975 if day.date() in off else 1200) for day in days
    )
    found = sl.compare("syria-exams-2019", b"time,bgp\n" + whole)
    assert found.error == pytest.approx(0, abs=0.001)  # 4.5 hours of 24 are off: 81.25 %, which is 975 of 1,200
    assert found.correlation == pytest.approx(1, abs=0.001) and found.lag == 0


def test_volume_is_laid_over_the_curve_of_the_day() -> None:
    found = sl.compare("syria-exams-2019", curve_of_the_day())
    assert found.series.signal.name == "cdn" and found.correlation == pytest.approx(1)
    assert found.lag == 0 and found.error == pytest.approx(0, abs=1e-6)


def test_times_may_be_seconds_or_milliseconds_or_have_another_zone() -> None:
    at = datetime(2022, 1, 5, 10, 30, tzinfo=UTC)
    texts = [f"{int(at.timestamp())}", f"{int(at.timestamp())}000", "2022-01-05T10:30Z", "2022-01-05T16:30+06:00"]
    for text in texts:
        later = [f"{t}" for t in (text, *([_plus(text, 5), _plus(text, 10)]))]
        made = read_published(("Timestamp,x\n" + "".join(f"{t},1\n" for t in later)).encode(), "a.csv")
        assert (made.times[0], made.step) == (at, timedelta(minutes=5)), text
    naive = read_published(
        b"date,x\n2022-01-05 16:30,1\n2022-01-05 16:40,2\n2022-01-05 16:50,2\n", "a", None, timedelta(hours=6)
    )
    assert naive.times[0] == at


def _plus(text: str, minutes: int) -> str:
    if text.isdigit():
        return str(int(text) + minutes * 60 * (1000 if len(text) > 11 else 1))
    return text.replace(":30", f":{30 + minutes}", 1)


@pytest.mark.parametrize(
    ("column", "signal"),
    [
        ("bgp", "bgp"),
        ("ping-slash24", "active-probing"),
        ("ucsd-nt", "telescope"),
        ("Telescope (# Unique Source IPs)", "telescope"),
        ("Google (Search)", "cdn"),
        ("Serie_0  H T T P/3", "http3"),
        ("Total bytes", "cdn"),
        ("x", None),
    ],
)
def test_ioda_s_and_radar_s_columns_tell_which_signal_they_are(column: str, signal: str | None) -> None:
    assert signal_of(column) == signal


IODA = b"""\
"Time (UTC)","Active Probing (#/24s Up)","BGP (#Visible /24s)","Telescope (# Unique Source IPs)","Google (Search)"
"2022-01-05 10:00:00",700,800,35.5,1200
"2022-01-05 10:05:00",,801,34.2,
"2022-01-05 10:10:00",701,802,33,null
"2022-01-05 10:15:00",,803,36,
"2022-01-05 10:20:00",702,804,31.5,
"""
"""As its page of a country downloads them: the header is the axis' title and the names of the series, as its source has
them (github.com/InetIntel/ioda-ui: `handleCSVDownload` in pages/entity/utils/EntityUtils.js, `entity` in
constants/strings/en/app.json); what Highcharts' `getCSV` writes has its times as `2022-01-05 10:00:00`, in UTC here,
and text in quotes. Each series has its own distance."""
IODA_BEFORE = IODA.replace(b"Time (UTC)", b"DateTime").replace(b"(#/24s Up)", b"(# /24s Up)")
"""Highcharts' own name of an axis without a title, as other charts of theirs have it."""
RADAR = b"""\
Serie_0 timestamps,Serie_0 values,Serie_1 timestamps,Serie_1 values
2022-01-05T10:00:00Z,0.5,2021-12-29T10:00:00Z,0.7
2022-01-05T10:15:00Z,0.6,2021-12-29T10:15:00Z,0.8
2022-01-05T10:30:00Z,0.7,2021-12-29T10:30:00Z,0.9
"""
"""Two series side by side, each with its times. The names are those that programs which read `format=CSV` of its API
look for: `Serie_0 timestamps`, `Serie_0 values`, and of groups `Serie_0  I Pv4`, `Serie_0  T L S  Q U I C`; values and
times as in developers.cloudflare.com/radar/get-started/making-comparisons/."""
RADAR_GROUPS = b"""\
Serie_0 timestamps,Serie_0  H T T P/1. X,Serie_0  H T T P/2,Serie_0  H T T P/3
2022-01-05T10:00:00Z,10.5,60.5,29
2022-01-05T11:00:00Z,10,61,29
2022-01-05T12:00:00Z,12,88,0
"""
TOR = b"""\
#
# The Tor Project
#
# URL: https://metrics.torproject.org/userstats-relay-country.csv?start=2022-01-04&end=2022-01-06&country=kz
#
date,country,users,lower,upper,frac
2022-01-04,kz,2000,1500,2500,80
2022-01-05,kz,500,,,80
2022-01-06,kz,400,300,500,80
"""
"""https://metrics.torproject.org/stats.html#userstats-relay-country, and what writes it (the metrics website's
src/main/R/rserver/graphs.R, `write_userstats_relay_country`): nothing stands for a bound that is not known."""
TOR_ALL = b"""\
# https://metrics.torproject.org/userstats-relay-country.csv
date,country,users,lower,upper,frac
2022-01-04,,2500000,,,80
2022-01-04,??,900,,,80
2022-01-04,kz,2000,1500,2500,80
2022-01-05,,2400000,,,80
2022-01-05,??,800,,,80
2022-01-05,kz,500,,,80
2022-01-06,,2300000,,,80
2022-01-06,??,700,,,80
2022-01-06,kz,400,300,500,80
"""
"""Without `country=` in its address, of all countries; no country is the whole world, `??` is unknown."""
TOR_COMBINED = b"""\
# https://metrics.torproject.org/userstats-bridge-combined.csv
date,country,transport,low,high,frac
2022-01-04,kz,<OR>,12,156,83
2022-01-04,kz,obfs4,34,136,83
2022-01-05,kz,<OR>,11,150,83
2022-01-05,kz,obfs4,35,136,83
2022-01-06,kz,<OR>,10,150,83
2022-01-06,kz,obfs4,36,136,83
"""
JIGSAW = b"2022-01-05T10:00:00,0.0123\r\n2022-01-05T10:30:00,0.0124\r\n2022-01-05T11:00:00,0.0001\r\n"
"""What Jigsaw's program writes of Google's Transparency Report (github.com/Jigsaw-Code/net-analysis,
netanalysis/traffic/data/fetch_google_traffic.py): no names, 48 values a day, UTC without saying so, CRLF."""


def hourly(head: bytes, zone: bytes = b"") -> bytes:
    return head + b"".join(b"2022-01-05T1%d:00:00%b,%d\n" % (hour, zone, hour + 1) for hour in range(3))


EXPORTS = {
    "ioda": (IODA, "BGP (#Visible /24s)", "2022-01-05T10:00", 5, (800, 801, 802, 803, 804)),
    "ioda, by ten minutes": (IODA, "Active Probing (#/24s Up)", "2022-01-05T10:00", 10, (700, 701, 702)),
    "ioda, without an axis' title": (
        IODA_BEFORE,
        "Active Probing (# /24s Up)",
        "2022-01-05T10:00",
        10,
        (700, 701, 702),
    ),
    "radar": (RADAR, "Serie_0 values", "2022-01-05T10:00", 15, (0.5, 0.6, 0.7)),
    "radar, the week before": (RADAR, "Serie_1 values", "2021-12-29T10:00", 15, (0.7, 0.8, 0.9)),
    "radar, in groups": (RADAR_GROUPS, "Serie_0  H T T P/3", "2022-01-05T10:00", 60, (29, 29, 0)),
    "tor metrics": (TOR, "users", "2022-01-04T00:00", 1440, (2000, 500, 400)),
    "google, by Jigsaw's program": (JIGSAW, None, "2022-01-05T10:00", 30, (0.0123, 0.0124, 0.0001)),
    "without names": (hourly(b""), None, "2022-01-05T10:00", 60, (1, 2, 3)),
    "pandas": (hourly(b",bgp\n"), None, "2022-01-05T10:00", 60, (1, 2, 3)),
    "a column of another name": (hourly(b"Category,x\n", b" UTC"), None, "2022-01-05T10:00", 60, (1, 2, 3)),
}


@pytest.mark.parametrize(("text", "column", "first", "minutes", "values"), EXPORTS.values(), ids=EXPORTS)
def test_files_are_read_as_they_are_exported(
    text: bytes, column: str | None, first: str, minutes: int, values: tuple[float, ...]
) -> None:
    found = read_published(text, "a.csv", column, timedelta())
    assert (f"{found.times[0]:%Y-%m-%dT%H:%M}", found.step) == (first, timedelta(minutes=minutes))
    assert found.values == values


def test_of_several_columns_the_one_that_is_called_as_the_signal_is_chosen() -> None:
    found = read_published(IODA, "a.csv", None, None, "active-probing")
    assert (found.column, found.values) == ("Active Probing (#/24s Up)", (700, 701, 702))
    assert read_published(IODA, "a.csv", None, None, "telescope").values[0] == 35.5
    assert read_published(RADAR_GROUPS, "a.csv", None, None, "http3").column == "Serie_0  H T T P/3"
    assert read_published(TOR, "a.csv", None, None, "tor-relays").column == "users"
    with pytest.raises(BadInput, match="expected one column of values"):
        read_published(IODA, "a.csv", None, timedelta(), "mobile")


def test_of_several_series_one_below_another_the_wanted_rows_are_taken() -> None:
    found = read_published(TOR_ALL, "a.csv", signal="tor-relays", where={"country": "kz"})
    assert found.values == read_published(TOR, "a.csv", signal="tor-relays").values == (2000, 500, 400)
    assert read_published(TOR_ALL, "a.csv", "users", where={"country": ""}).values == (2500000, 2400000, 2300000)
    found = read_published(TOR_COMBINED, "a.csv", "high", where={"country": "kz", "transport": "obfs4"})
    assert found.values == (136, 136, 136)


@pytest.mark.parametrize(
    ("text", "where", "told"),
    [
        (
            TOR_ALL,
            {},
            "a.csv:4: country: found 3 series in one file: '', ??, kz; expected one series\n"
            "    hint: say which with `--where country=??`",
        ),
        (
            TOR_COMBINED,
            {"country": "kz"},
            "a.csv:4: transport: found 2 series in one file: <OR>, obfs4; expected",
        ),
        (TOR_ALL, {"country": "ir"}, "a.csv: country: found no row with 'ir'; expected one of '', ??, kz"),
        (TOR_ALL, {"land": "kz"}, "--where: found land; expected one of date, country, users, lower, upper, frac"),
    ],
)
def test_several_series_of_which_none_is_named_are_reported(text: bytes, where: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_published(text, "a.csv", "users" if text is TOR_ALL else "high", where=where)
    assert str(raised.value).startswith(told)


def test_days_of_tor_metrics_are_of_utc_as_its_files_say_where_they_are_from() -> None:
    found = read_published(TOR, "a.csv", "users")
    assert (found.times[0], found.step) == (datetime(2022, 1, 4, tzinfo=UTC), timedelta(days=1))
    with pytest.raises(BadInput, match="a time without its zone"):
        read_published(TOR[TOR.index(b"date") :], "a.csv", "users")


def test_times_whose_column_says_utc_need_no_zone() -> None:
    text = b"Time (UTC),bgp\n2022-01-05 10:00,1\n2022-01-05 10:05,2\n2022-01-05 10:10,3\n"
    assert read_published(text, "a.csv").times[0] == datetime(2022, 1, 5, 10, tzinfo=UTC)


GAP = b"time,bgp\n" + b"".join(b"2022-01-05T10:%dZ,1\n" % minute for minute in (10, 15, 20, 40, 45))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GAP, "a.csv:5: time: found a gap of 20 min after 2022-01-05T10:20Z; expected a value every 5 min"),
        (GAP.replace(b"20Z,1", b"20Z,"), "a.csv:5: time: found a gap of 25 min after 2022-01-05T10:15Z; expected a"),
        (b"time,bgp\n2022-01-05T10:00Z,1\n2022-01-05T10:05Z,few\n", "a.csv:3: found 'few'; expected a number"),
        (
            b"time,bgp\n2022-01-05T10:00Z,1\n2022-01-05T16:05+06:00,1\n2022-01-05T10:10Z,1\n",
            "a.csv:3: time: found two time zones: +00:00 in line 2, +06:00 in line 3; expected one",
        ),
        (b"time,bgp\n2022-01-05T10:00,1\n2022-01-05T10:05,1\n", "a.csv:2: time: found a time without its zone"),
        (b"time,bgp,ucsd\n2022-01-05T10:00Z,1,2\n", "a.csv:1: found the columns time, bgp, ucsd; expected one"),
        (b"when,bgp\nsoon,1\n", "a.csv:1: found the columns when, bgp; expected one column of times"),
        (
            b"\xef\xbb\xbftime;bgp\n2022-01-05T10:00Z;1\n",
            "a.csv:1: found the columns time;bgp; expected one column of times, called `time`, `timestamp` or `date`\n"
            "    hint: a comma between columns, not ';'",
        ),
        (b"", "a.csv:1: found an empty file"),
        (b"\xff\xfe", "a.csv: found not UTF-8 text"),
        (b"time,bgp\nyesterday,1\n", "a.csv:2: found 'yesterday'; expected a time"),
        (b"time,bgp\n2022-01-05T10:00Z,-1\n", "a.csv:2: found '-1'; expected a number of at least 0"),
        (b"time,bgp\n2022-01-05T10:00Z\n", "a.csv:2: found 1 columns"),
        (b"time,bgp\n2022-01-05T10:00Z,1\n2022-01-05T10:05Z,1\n", "a.csv: found 2 values; expected three or more"),
        (
            b"time,bgp\n2022-01-05T10:10Z,1\n2022-01-05T10:05Z,1\n2022-01-05T10:10Z,1\n",
            "a.csv:3: time: found a time that is not later than the previous one",
        ),
        (
            b"time,bgp\n2022-01-05T10:00Z,1\n2022-01-05T10:30Z,1\n2022-01-05T10:05Z,1\n2022-01-05T10:10Z,1\n",
            "a.csv:4: time: found a time that is not later than the previous one; expected ascending times\n"
            "    hint: sort the lines by their times",
        ),
        (
            b"time,bgp\n2022-01-05T10:00Z,1\n2022-01-05T10:05Z,1\n2022-01-05T10:05Z,1\n",
            "a.csv:4: time: found the same time as the previous line; expected ascending times\n"
            "    hint: leave one of them out",
        ),
        (
            GAP.replace(b"20Z,1", b"20Z,NaN").replace(b"40Z", b"25Z").replace(b"45Z", b"30Z"),
            "a.csv:5: time: found a gap of 10 min after 2022-01-05T10:15Z; expected a value every 5 min\n"
            "    hint: line 4 has no value: fill it, or cut the file there",
        ),
        (b'{"type": "signals", "data": [[]]}', "a.csv:1: found JSON; expected a CSV file"),
        (b" [1, 2]", "a.csv:1: found JSON; expected a CSV file"),
        (b"%s\n1\n" % (b"x" * 5000), f"a.csv:1: found the columns {'x' * 40}…; expected one column of times"),
        (b"time,bgp\n0001-01-01T00:00+14:00,1\n", "a.csv:2: found '0001-01-01T00:00+14:00'; expected a time"),
        (b"time,bgp\n9999-12-31T20:00-10:00,1\n", "a.csv:2: found '9999-12-31T20:00-10:00'; expected a time"),
        (b'time,bgp\n2022-01-05T10:00Z,"' + b"1\n" * 70_000, "a.csv:2: found a row that is not CSV (field larger"),
        (b'time,"bgp\n(routes)"\n2022-01-05T10:00Z,few\n', "a.csv:3: found 'few'; expected a number"),
        (b"time,bgp\n2022-01-05T10:00Z,1_000\n", "a.csv:2: found '1_000'; expected a number"),
    ],
)  # fmt: skip
def test_a_series_that_cannot_be_compared_is_reported_with_its_line(text: bytes, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_published(text, "a.csv")
    assert str(raised.value).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"time\n2022-01-05T10:00Z\n", "--column: found bgp; expected another column than time: the file has"),
        (
            b"time,bgp,bgp\n2022-01-05T10:00Z,1,2\n",
            "a.csv:1: found 2 columns called 'bgp'; expected one column of that name",
        ),
        (b"time,cdn\n2022-01-05T10:00Z,1\n", "--column: found bgp; expected one of cdn"),
    ],
)
def test_a_column_that_is_not_there_or_there_twice_is_reported(text: bytes, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_published(text, "a.csv", column="bgp")
    assert str(raised.value).startswith(told)


_A_TIME = "expected a time such as 2022-01-05T10:30Z, or seconds since 1970"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            "2022-01-05T10:{}Z,7%",
            "a.csv:2: found '7%'; expected a number of at least 0\n    hint: leave the sign % out; ",
        ),
        (
            "2022-01-05T10:{}Z,'7,000'",
            "a.csv:2: found '7,000'; expected a number of at least 0\n    hint: leave out what ",
        ),
        ("05/01/2022 10:{},7", "a.csv:2: found '05/01/2022 10:10'; expected a time such as 2022-01-05T10:30Z"),
        ("1/5/2022 9:{} AM,7", f"a.csv:2: found '1/5/2022 9:10 AM'; {_A_TIME}\n    hint: write year-month-day; in a "),
        ("05.01.22 9:{},7", f"a.csv:2: found '05.01.22 9:10'; {_A_TIME}\n    hint: write year-month-day; in a "),
        ("5-Jan-22 9:{},7", f"a.csv:2: found '5-Jan-22 9:10'; {_A_TIME}\n    hint: write year-month-day; in a "),
        ("2022/01/05 9:{},7", f"a.csv:2: found '2022/01/05 9:10'; {_A_TIME}\n    hint: write year-month-day; in a "),
        ("44566.{},7", f"a.csv:2: found '44566.10'; {_A_TIME}\n    hint: it is a spreadsheet's number of a day: in a "),
        (
            "2022-01-05T10:{}Z,'7,25'",
            "a.csv:2: found '7,25'; expected a number of at least 0\n    hint: decimals begin with a point, not a ",
        ),
        ("2022-01-05T10:{}Z", "a.csv:2: found 1 columns; expected as many as in the first line"),
    ],
)
def test_what_is_wrong_with_every_row_is_told_once_and_how_many_have_it(row: str, told: str) -> None:
    text = "time,bgp\n" + "".join(row.format(minute).replace("'", '"') + "\n" for minute in range(10, 50))
    with pytest.raises(BadInput) as raised:
        read_published(text.encode(), "a.csv", "bgp")
    said = str(raised.value)
    assert said.startswith(told)
    assert said.endswith("likewise in 39 more rows")
    assert said.count("found") == 1


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (gzip.compress(GAP, mtime=0), "gunzip"),
        (b"PK\x03\x04\xff", "save the sheet as CSV"),
        (GAP.decode().encode("utf-16"), "save it as UTF-8"),
    ],
    ids=["gzip", "a spreadsheet", "UTF-16"],  # gzip's bytes have the time in them: each worker would have another name
)
def test_of_a_file_that_is_no_text_it_is_said_what_it_is(content: bytes, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        read_published(content, "a.csv")


def test_every_gap_is_reported_at_once() -> None:
    with pytest.raises(BadInput) as raised:
        read_published(GAP + b"2022-01-05T11:00Z,1\n", "a.csv")
    assert [problem.line for problem in raised.value.problems] == [5, 7]


def run(tmp_path: Path, text: bytes, *arguments: str) -> tuple[int, str]:
    file = tmp_path / "a.csv"
    file.write_bytes(text)
    done = CliRunner().invoke(app, ["compare", "syria-exams-2019", "--with", str(file), *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_the_command_prints_a_row_a_phase_and_how_alike_the_two_are(tmp_path: Path) -> None:
    code, said = run(tmp_path, SEEN)
    assert code == 0 and "09 Jun 01:00 exam-1 0.0 0.0 0.0" in said
    assert "Correlation 1.00, best without a lag; they are 0.0 apart in the mean." in said
    code, said = run(tmp_path, SEEN, "--format", "json", "--operator", "syrian-telecom")
    whole = json.loads(said)
    assert (code, whole["of"], whole["lag_min"], whole["phases"][1]["published"]) == (0, "syrian-telecom", 0, 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--signal", "bpg"), "--signal: found unknown signal 'bpg'"),
        (("--operator", "nobody"), "--operator: found unknown operator 'nobody'"),
        (("--operator", "mtn", "--region", "aleppo"), "--region: found aleppo together with the operator mtn"),
        (("--column", "time"), "--column: found time; expected one of bgp"),
        (("--where", "country"), "--where: found 'country'; expected COLUMN=VALUE"),
        (("--where", "country=kz"), "--where: found country; expected one of time, bgp"),
        (("--zone", "6"), "--zone: found 6; expected an offset from UTC such as +06:00"),
    ],
)
def test_mistakes_in_the_arguments_of_compare_are_reported(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    code, said = run(tmp_path, SEEN, *arguments)
    assert code == 2 and told in said


def test_a_series_without_quiet_days_cannot_be_compared(tmp_path: Path) -> None:
    lines = SEEN.splitlines()
    during = b"\n".join([lines[0], *(line for line in lines[1:] if line >= b"2019-06-09T02")])
    code, said = run(tmp_path, during)
    assert code == 2 and "no value above 0 between" in said and "some of quiet days before" in said
    assert run(tmp_path, SEEN.replace(b"bgp", b"x"))[1].startswith("--signal: found no signal, and the column 'x'")
