"""Formats times, durations, counts and lists for sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

_DAYS = 240
"""The number of hours from which a duration is given in days."""
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NO_NAMES = frozenset(
    {"a", "about", "all", "an", "elsewhere", "every", "most", "other", "others", "some", "the", *_NUMBERS}
)
"""First words of titles that begin a title with a capital, but a name with none in a sentence."""


def day(moment: datetime) -> str:
    """Formats a date: `5 January 2022`."""
    return f"{moment.day} {moment:%B %Y}"


def when(moment: datetime) -> str:
    """Formats a time for sentences: `5 January 2022, 10:30 UTC`; with seconds unless they are 0."""
    return f"{day(moment)}, {clock(moment)} UTC"


def short(moment: datetime, *, with_year: bool = False) -> str:
    """Formats a time for tables: `05 Jan 10:30` or `05 Jan 2022 10:30`; with seconds unless they are 0."""
    return f"{moment:%d %b %Y} {clock(moment)}" if with_year else f"{moment:%d %b} {clock(moment)}"


def clock(moment: datetime) -> str:
    """Formats a time of day: `10:30` or `10:30:05`."""
    return f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"


def lasting(hours: float) -> str:
    """Formats a duration: `20 s`, `30 min`, `4.5 h`, `79 h`; from ten days on `12.5 days`."""
    if hours < 1 / 60:
        return f"{max(1, round(hours * 3_600))} s"
    if hours < 1:
        return f"{round(hours * 60)} min"
    return f"{round(hours, 1):g} h" if hours < _DAYS else f"{round(hours / 24, 1):g} days"


def listed(names: Iterable[str]) -> str:
    """Joins names: `calls`; `calls and SMS`; `port holes, calls and SMS`; `a, b; and c` if a name is itself a list."""
    each = list(names)
    if len(each) > 1 and any(", " in name or " and " in name for name in each):
        return f"{'; '.join(each[:-1])}; and {each[-1]}"
    return each[0] if len(each) == 1 else f"{', '.join(each[:-1])} and {each[-1]}" if each else "nothing"


def number(count: int) -> str:
    """Formats a count: in letters up to twelve."""
    return _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """Formats a count with its noun: `one phase`, `three phases`."""
    return f"{number(count)} {singular if count == 1 else plural or singular + 's'}"


def percents(shares: Sequence[float]) -> str:
    """Formats shares (0 to 1) as `72%`, or the lowest and highest as `29 to 55%`; only exactly all is 100, and only
    exactly none is 0."""
    shown = [_percent(share) for share in (min(shares), max(shares))]
    return f"{shown[0]}%" if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}%"


def _percent(share: float) -> int:
    return 0 if share <= 0 else 100 if share >= 1 else min(99, max(1, round(share * 100)))


def within(title: str) -> str:
    """Returns a title for the middle of a sentence: `The other regions` is `the other regions`; names stay."""
    first, gap, rest = title.partition(" ")
    return f"{first.lower()}{gap}{rest}" if first.lower() in _NO_NAMES else title


def places(titles: Sequence[str], preposition: str = "in") -> str:
    """Returns where something was, for a sentence: `in Almaty and the other regions`; `elsewhere`."""
    named = [within(title) for title in titles]
    return "elsewhere" if named == ["elsewhere"] else f"{preposition} {listed(sorted(named, key='elsewhere'.__eq__))}"


def sentence(text: str) -> str:
    """Capitalises the first letter of a text."""
    return text[:1].upper() + text[1:]
