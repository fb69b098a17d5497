"""Reads a published time series from a CSV file, such as those of IODA, Cloudflare Radar or Tor Metrics. Pure.

The times are in the column with such a name (`time`, `serie_0 timestamps`, `DateTime` …), else in the only one that
contains times: ISO 8601 with a time zone, or seconds since 1970. The values are in the other column; if there are
several, one is chosen, with the nearest column of times to its left. Empty cells are skipped: in IODA's files, active
probing has values less often than BGP. A file may begin with comments, as Tor Metrics' do, and need not name its
columns. If a file lists the series of several countries below each other, as Tor Metrics' do, `where` selects rows by
the values of other columns.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Final

from shutdownlab.config.problems import BadInput, Problem, Problems

_TIMES: Final = re.compile(
    r"(?:.*[^a-z])?(?:times?|timestamps?|date|datetime|bin)(?: ?\(?(?:utc|gmt)\)?)?|utc|from", re.IGNORECASE
)
_IN_UTC: Final = re.compile(r"\b(?:utc|gmt)\b|metrics\.torproject\.org", re.IGNORECASE)
"""In a column's name or a leading comment, says that times are in UTC: Tor Metrics' days are
(https://metrics.torproject.org/stats.html)."""
_NO_VALUE: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "-"})
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.IGNORECASE)
_SIGNALS: Final = (
    (r"bgp", "bgp"),
    (r"ping-slash24|active.?probing|trinocular", "active-probing"),
    (r"ucsd|merit|telescope|darknet", "telescope"),
    (r"http.?3|quic", "http3"),
    (r"mobile", "mobile"),
    (r"dns", "dns-queries"),
    (r"bytes|requests|traffic|netflow|http|gtr|google|cdn|volume", "cdn"),
)
"""Patterns for the names, without spaces, of columns in IODA's and Radar's files, and the corresponding signals."""
_USERS: Final = frozenset({"tor-relays", "tor-bridges"})
"""Signals whose column is called `users` in Tor Metrics' files."""
_OTHER_FILES: Final = (
    (b"\x1f\x8b", "it is compressed: `gunzip` it"),
    (b"PK", "it is a ZIP archive or a workbook: unpack it, or save the sheet as CSV"),
    (b"\xff\xfe", "it is in UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "it is in UTF-16: save it as UTF-8"),
)
"""How files begin that are no UTF-8 text, and how to make them one."""
_AS_MANY: Final = "as many as in the first line"
_A_TIME: Final = "a time such as 2022-01-05T10:30Z, or seconds since 1970"
_A_NUMBER: Final = "a number of at least 0"
_IN_A_SHEET: Final = "in a spreadsheet, give the column the format yyyy-mm-dd hh:mm, and save it again"
_MENDS: Final = (
    (_A_NUMBER, r".*%", "leave the sign % out"),
    (_A_NUMBER, r"[0-9]{1,3}([ ,.'\u00a0\u202f][0-9]{3})+", "leave out what separates thousands"),
    (_A_NUMBER, r"[0-9]*,[0-9]+", "decimals begin with a point, not a comma"),
    (_A_TIME, r"[0-9]{5}([.,][0-9]*)?", f"it is a spreadsheet's number of a day: {_IN_A_SHEET}"),
    (_A_TIME, r"[0-9]{1,4}[-/. ]+[^\W_]{1,9}\.?[-/. ]+[0-9]{1,4}\b.*", f"write year-month-day; {_IN_A_SHEET}"),
)
"""What is found in place of a number or a time, and how to mend it; the first that matches counts."""
_SORT: Final = "sort the lines by their times"
_MOST_ROWS: Final = 1_000_000
_OLDEST, _NEWEST = 10**8, 10**11
"""Seconds since 1970; larger numbers are milliseconds."""
_FIRST_YEAR, _LAST_YEAR = 1970, 5000
"""Accepted years: others aren't plausible, and the ends of Python's calendar can't be converted between time zones."""
_LONG_NAME, _MOST_NAMES = 40, 20
"""How many characters of a column's name, and how many names, a message quotes."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published series. times: UTC, at intervals of `step`. column: name of the values' column. signal: the signal
    that this name indicates; None if unknown.
    """

    column: str
    signal: str | None
    step: timedelta
    times: tuple[datetime, ...]
    values: tuple[float, ...]


def read_published(
    text: bytes,
    file: str,
    column: str | None = None,
    zone: timedelta | None = None,
    signal: str | None = None,
    where: Mapping[str, str] | None = None,
) -> Published:
    """Reads a series from the bytes of a CSV file. Raises `BadInput`, which lists all problems of the rows at once.

    file: its name, for messages.
    column: name of the column of values; None for the only one, or the only one whose name matches `signal`.
    zone: UTC offset of times without a time zone.
    where: values of other columns that select the rows.
    """
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError:
        hint = next((hint for start, hint in _OTHER_FILES if text.startswith(start)), "")
        raise BadInput([Problem(file, 0, "", "not UTF-8 text", "a CSV file", hint)]) from None
    if decoded.lstrip()[:1] in {"{", "["}:
        hint = "Radar's API has it with `format=csv`; of IODA's answers write `time,value` and a line for each value"
        raise BadInput([Problem(file, 1, "", "JSON", "a CSV file", hint)])
    numbered = _rows(decoded, file)
    comments = list(takewhile(lambda each: each[1][0].startswith("#"), numbered))
    del numbered[: len(comments)]
    head = _head(numbered)
    numbered = _chosen(head, numbered, file, where or {})
    time, value = _columns(head, numbered[0][1] if numbered else (), file, column, signal)
    if any(_IN_UTC.search(cell) for cell in (head[time], *(",".join(row) for _, row in comments))):
        zone = zone or timedelta()
    _one_series(head, numbered, time, value, file)
    wrong = _Wrong()
    found = [each for number, row in numbered if (each := _row(row, number, time, value, file, wrong))]
    problems = wrong.problems()
    zones = {each[3]: each[2] for each in reversed(found)}
    zones.pop(None, None)
    if len(zones) > 1:
        (first, line), (second, other) = sorted(zones.items(), key=lambda each: each[1])[:2]
        cell = f"two time zones: {_offset(first)} in line {line}, {_offset(second)} in line {other}"
        problems.append(Problem(file, other, head[time], cell, "one time zone throughout", "write all times in UTC"))
    if zone is None and (naive := next((each for each in found if each[3] is None), None)) is not None:
        hint = 'say which with `--zone "+00:00"`'
        problems.append(Problem(file, naive[2], head[time], "a time without its zone", "ISO 8601 with a zone", hint))
    if problems:
        raise BadInput(problems)
    moments = [_utc(at, offset, zone) for at, _, _, offset in found]
    step = _step(moments, [each[2] for each in found], file, head[time])
    return Published(head[value], signal_of(head[value]), step, tuple(moments), tuple(each[1] for each in found))


def _rows(text: str, file: str) -> list[tuple[int, list[str]]]:
    """Returns the rows that aren't empty, each with the number of its first line: a quoted cell may span several."""
    reader = csv.reader(io.StringIO(text, newline=""))
    found, line, count = list[tuple[int, list[str]]](), 1, 0
    try:
        for row in reader:
            count += 1
            if any(cell.strip() for cell in row):
                found.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:  # a cell of more than 128 KiB
        hint = "perhaps a quote that is opened but not closed"
        raise BadInput([Problem(file, line, "", f"a row that is not CSV ({error})", "a CSV file", hint)]) from None
    if count > _MOST_ROWS + 1:
        raise BadInput(
            [Problem(file, 0, "", f"more than {_MOST_ROWS:,} rows", "fewer", "keep only the time that matters")]
        )
    return found


def signal_of(column: str) -> str | None:
    """Returns the signal that a column's name indicates, or None."""
    name = re.sub(r"\s+", "", column)  # Radar's files have `Serie_0  H T T P/3`
    return next((signal for pattern, signal in _SIGNALS if re.search(pattern, name, re.IGNORECASE)), None)


def _is_called(column: str, signal: str) -> bool:
    return signal_of(column) == signal or (column.lower() == "users" and signal in _USERS)


def _head(numbered: list[tuple[int, list[str]]]) -> list[str]:
    """Removes the header row and returns the columns' names; makes them up if the first row contains values."""
    if not numbered:
        return []
    first = [cell.strip() for cell in numbered[0][1]]
    if _time(first[0]) is not None:
        return ["time", "value"] if len(first) == 2 else ["time", *(f"column {n}" for n in range(2, len(first) + 1))]
    del numbered[0]
    return first


def _columns(
    head: Sequence[str], first: Sequence[str], file: str, wanted: str | None, signal: str | None
) -> tuple[int, int]:
    """Returns the indices of the columns of times and of values. first: the first row of values."""
    holding = [place for place, cell in enumerate(first[: len(head)]) if _time(cell.strip()) is not None]
    called = [place for place, name in enumerate(head) if _TIMES.fullmatch(name)]
    dates = [place for place in holding if not first[place].strip().isdigit()]
    times = [place for place in called if place in holding] or called or dates
    names = [name[:_LONG_NAME] + "…" * (len(name) > _LONG_NAME) or "(no name)" for name in head]
    columns = ", ".join(names[:_MOST_NAMES]) + ", …" * (len(names) > _MOST_NAMES) or "none"
    others = [place for place in range(len(head)) if place not in times]
    alike = [place for place in others if signal is not None and _is_called(head[place], signal)]
    if not times or (len(times) > 1 and not others):
        found = f"the columns {columns}" if head else "an empty file"
        expected = "one column of times, called `time`, `timestamp` or `date`"
        separated = next((sign for sign in ";\t|" if any(sign in name for name in head)), "")
        hint = f"a comma between columns, not {separated!r}" if separated else "the first line names the columns"
        raise BadInput([Problem(file, 1, "", found, expected, hint)])
    if wanted is not None:
        named = [place for place in others if head[place] == wanted]
        if not named:
            known = ", ".join(head[place] for place in others)
            expected = f"one of {known}" if known else f"another column than {columns}: the file has no other"
            raise BadInput([Problem("--column", 0, "", wanted, expected)])
        if len(named) > 1:
            raise BadInput([Problem(file, 1, "", f"{len(named)} columns called {wanted!r}", "one column of that name")])
        value = named[0]
    elif len(others) == 1 or len(alike) == 1:
        value = (alike or others)[0]
    else:
        hint = "say which with `--column NAME`" if others else ""
        raise BadInput([Problem(file, 1, "", f"the columns {columns}", "one column of values", hint)])
    return max((place for place in times if place < value), default=times[0]), value


def _chosen(
    head: Sequence[str], rows: list[tuple[int, list[str]]], file: str, where: Mapping[str, str]
) -> list[tuple[int, list[str]]]:
    """Returns the rows that have the values given by `where`. Raises `BadInput` for unknown columns and values."""
    for name, wanted in where.items():
        if name not in head:
            raise BadInput([Problem("--where", 0, "", name, f"one of {', '.join(head) or 'the columns of a series'}")])
        place = head.index(name)
        found = list(dict.fromkeys(row[place].strip() for _, row in rows if len(row) > place))
        rows = [each for each in rows if len(each[1]) > place and each[1][place].strip() == wanted]
        if not rows:
            raise BadInput([Problem(file, 0, name, f"no row with {wanted!r}", f"one of {_some(found)}")])
    return rows


def _one_series(head: Sequence[str], rows: Sequence[tuple[int, list[str]]], time: int, value: int, file: str) -> None:
    """Raises `BadInput` if rows with the same time differ in a text column: the file has several countries' series."""
    before: dict[str, list[str]] = {}
    for line, row in rows:
        if len(row) <= max(time, value):
            continue
        other = before.setdefault(row[time].strip(), row)
        names = (place for place in range(min(len(row), len(other), len(head))) if place not in {time, value})
        for place in names if other is not row else ():
            one, another = row[place].strip(), other[place].strip()
            if one != another and not (_is_number(one) and _is_number(another)):
                kinds = list(dict.fromkeys(each[place].strip() for _, each in rows if len(each) > place))
                found = f"{len(kinds):,} series in one file: {_some(kinds)}"
                hint = f"say which with `--where {head[place]}={next(filter(None, kinds))}`"
                raise BadInput([Problem(file, line, head[place], found, "one series", hint)])


def _is_number(text: str) -> bool:
    return text.lower() in _NO_VALUE or _NUMBER.fullmatch(text) is not None


def _some(values: Sequence[str]) -> str:
    return ", ".join(value or "''" for value in values[:5]) + (", …" if len(values) > 5 else "")


@dataclass(slots=True)
class _Wrong:
    """The first mistake of each kind in a series' rows, and how many rows have it: one is mostly in all of them."""

    _first: dict[str, Problem] = field(default_factory=dict)
    _rows: Counter[str] = field(default_factory=Counter)

    def append(self, problem: Problem) -> None:
        self._first.setdefault(problem.expected, problem)
        self._rows[problem.expected] += 1

    def problems(self) -> Problems:
        problems = Problems()
        for kind, each in self._first.items():
            others = self._rows[kind] - 1
            hint = f"likewise in {_counted(others, 'more row')}" if others else ""
            problems.append(replace(each, hint="; ".join(filter(None, (_mend(each), hint)))))
        return problems


def _row(
    row: Sequence[str], line: int, time: int, value: int, file: str, wrong: _Wrong
) -> tuple[datetime, float, int, timedelta | None] | None:
    """Parses a row to its time as written, value, line, and UTC offset (None without a time zone).

    Returns None if the row has no value, or adds what is wrong with it to `wrong`.
    """
    if len(row) <= max(time, value):
        wrong.append(Problem(file, line, "", f"{len(row)} columns", _AS_MANY))
        return None
    if row[value].strip().lower() in _NO_VALUE:
        return None
    at = _time(row[time].strip())
    if at is None:
        wrong.append(Problem(file, line, "", repr(row[time]), _A_TIME))
    text = row[value].strip()
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number) or number < 0:
        wrong.append(Problem(file, line, "", repr(row[value]), _A_NUMBER))
    if at is None or not math.isfinite(number):
        return None
    return at, number, line, at.utcoffset()


def _mend(wrong: Problem) -> str:
    text = wrong.found.strip("'")
    for of, pattern, hint in _MENDS:
        if wrong.expected == of and re.fullmatch(pattern, text):
            return hint
    return ""


def _time(text: str) -> datetime | None:
    if re.fullmatch(r"[0-9]{9,14}(\.[0-9]+)?", text):
        seconds = float(text) if float(text) < _NEWEST else float(text) / 1000
        return datetime.fromtimestamp(seconds, UTC) if _OLDEST <= seconds < _NEWEST else None
    try:
        at = datetime.fromisoformat(re.sub(r" ?(?:UTC|GMT)$", "+00:00", text))
    except ValueError:
        return None
    return at if _FIRST_YEAR <= at.year <= _LAST_YEAR else None


def _utc(at: datetime, offset: timedelta | None, zone: timedelta | None) -> datetime:
    return at.astimezone(UTC) if offset is not None else (at - (zone or timedelta())).replace(tzinfo=UTC)


def _offset(offset: timedelta | None) -> str:
    minutes = int(offset.total_seconds()) // 60 if offset is not None else 0
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _step(times: Sequence[datetime], lines: Sequence[int], file: str, name: str) -> timedelta:
    """Returns the interval between values. Raises `BadInput` for gaps, and times that don't ascend."""
    if len(times) < 3:
        raise BadInput([Problem(file, 0, "", _counted(len(times), "value"), "three or more")])
    distances = [later - sooner for sooner, later in pairwise(times)]
    step = Counter(distance for distance in distances if distance > timedelta()).most_common(1)
    if not step:
        raise BadInput([Problem(file, lines[1], name, "times that do not ascend", "ascending times", _SORT)])
    usual, problems = step[0][0], Problems()
    for distance, line in zip(distances, lines[1:], strict=True):
        if distance <= timedelta():  # gaps tell nothing then: they would be between lines that do not belong together
            found = (
                "a time that is not later than the previous one" if distance else "the same time as the previous line"
            )
            hint = _SORT if distance else "leave one of them out"
            raise BadInput([Problem(file, line, name, found, "ascending times", hint)])
    for distance, at, line, before in zip(distances, times, lines[1:], lines, strict=False):
        if distance != usual:
            found = f"a gap of {_minutes(distance)} after {at:%Y-%m-%dT%H:%MZ}"
            hint = "fill it, or cut the file there"
            if line > before + 1:
                hint = f"{_between(before, line)} no value: {hint}"
            problems.append(Problem(file, line, name, found, f"a value every {_minutes(usual)}", hint))
    if problems:
        raise BadInput(problems)
    return usual


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _between(line: int, other: int) -> str:
    """The lines between two, with their verb."""
    first, last = line + 1, other - 1
    return f"line {first} has" if first == last else f"lines {first} to {last} have"


def _minutes(distance: timedelta) -> str:
    return f"{distance.total_seconds() / 60:g} min"
