"""The alerts that outage detectors raise over a series, by the rules that they have published. Pure.

IODA (its help page, https://ioda.inetintel.cc.gatech.edu/help): BGP is judged every five minutes against the median of
the last 24 hours (warning below 99 %, critical below 50 %), active probing against that of the last seven days (80 %
and 50 %), the telescope likewise (25 % and 10 %). States go from normal to warning and on to critical, from normal to
critical at once, and from critical back to normal alone: what has been critical is so until it is normal. An alert's
area is the drop in percent times its minutes.

A CDN's volume is judged against its forecast (`forecast.py`). That a drop must be large and must last is Cloudflare's;
how large and how long was not found: thresholds are those of active probing, and half an hour (ASSUMED). Atlas probes
and Hyperquack are judged as active probing is, over a day (ASSUMED: RIPE and Censored Planet raise no alerts).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Final, Literal, TypeAlias

from shutdownlab.signals.calendar import DAY
from shutdownlab.signals.catalogue import RuleName
from shutdownlab.signals.forecast import against_forecast
from shutdownlab.signals.medians import Piece, against_median
from shutdownlab.signals.series import Series

Level: TypeAlias = Literal["normal", "warning", "critical"]
LEVELS: Final[tuple[Level, ...]] = ("normal", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Rule:
    """window: minutes whose median it is judged against; 0: a forecast. warning, critical: below these shares of it.

    lasting: minutes that it must be so before there is an alert.
    """

    window: int
    warning: float
    critical: float
    lasting: int = 0

    def level(self, value: float, usual: float) -> Level:
        """Where nothing is usual, nothing is missing."""
        if value < self.critical * usual:
            return "critical"
        return "warning" if value < self.warning * usual else "normal"


RULES: Final[dict[RuleName, Rule]] = {
    "ioda-bgp": Rule(DAY, 0.99, 0.5),
    "ioda-active-probing": Rule(7 * DAY, 0.8, 0.5),
    "ioda-telescope": Rule(7 * DAY, 0.25, 0.1),
    "forecast": Rule(0, 0.8, 0.5, lasting=30),
    "connected": Rule(DAY, 0.8, 0.5),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """A time in which a series was not normal. Minutes of the calendar.

    raised: when its detector tells it, which is later than `begins` where a drop must last. critical: since when, if it
    became so. ends: exclusive; the calendar's end where it goes on. lowest: what the series fell to, as a share of the
    usual. area: the drop in percent times the minutes.
    """

    begins: int
    raised: int
    critical: int | None
    ends: int
    lowest: float
    area: float

    @property
    def level(self) -> Level:
        return "warning" if self.critical is None else "critical"


def judged(series: Series) -> Iterator[Piece]:
    """A series beside what is usual by the rule of its signal."""
    rule = RULES[series.signal.rule]
    if rule.window:
        return against_median(series.stretches, series.signal.step, rule.window)
    return against_forecast(series)


def alerts_of(series: Series) -> list[Alert]:
    """The alerts over a whole calendar, in order."""
    rule = RULES[series.signal.rule]
    graded = ((rule.level(piece.value, piece.usual), piece) for piece in judged(series))
    found = []
    for outside, pieces in groupby(graded, key=lambda each: each[0] != "normal"):
        if outside:
            alert = _alert(list(pieces), rule)
            if alert is not None:
                found.append(alert)
    return found


def _alert(pieces: list[tuple[Level, Piece]], rule: Rule) -> Alert | None:
    begins, ends = pieces[0][1].start, pieces[-1][1].end
    if ends - begins <= rule.lasting and rule.lasting:
        return None
    critical = next((max(p.start, begins + rule.lasting) for level, p in pieces if level == "critical"), None)
    shares = [(piece.value / piece.usual, piece.end - piece.start) for _, piece in pieces]
    area = sum(100 * (1 - share) * minutes for share, minutes in shares)
    return Alert(begins, begins + rule.lasting, critical, ends, min(share for share, _ in shares), area)


def severity(by_source: Iterable[Iterable[Alert]]) -> float:
    """IODA's overall score: the product, over the sources that alerted, of the areas of their alerts; 0: none did."""
    areas = [area for alerts in by_source if (area := sum(alert.area for alert in alerts)) > 0]
    return prod(areas) if areas else 0.0
