"""The alerts that outage detectors raise for a series, by the rules that they have published. Pure.

IODA (its help page, https://ioda.inetintel.cc.gatech.edu/help): BGP is judged every five minutes against the median of
the last 24 hours (warning below 99 %, critical below 50 %), active probing against that of the last seven days (80 %
and 50 %), the telescope likewise (25 % and 10 %). The state changes from normal to warning or critical, from warning to
critical or normal, but from critical only to normal: a critical alert stays critical until it ends. An alert's area is
the drop in percent times its minutes.

A CDN's volume is judged against its forecast (`forecast.py`). Cloudflare requires a drop to be large and to last; how
large and how long was not found, so the thresholds of active probing and half an hour are used (ASSUMED). Atlas probes
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
    """When a detector raises an alert.

    window: minutes of the past whose median is the usual value; 0 to use a forecast instead.
    warning, critical: shares of the usual value below which these levels apply.
    lasting: minutes that a drop must last before an alert is raised.
    """

    window: int
    warning: float
    critical: float
    lasting: int = 0

    def level(self, value: float, usual: float) -> Level:
        """Returns the level of a value; always "normal" if the usual value is 0."""
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
    """A period in which a series was not normal. Times are minutes of the calendar.

    raised: when the detector reports it; later than `begins` if the rule requires a drop to last.
    critical: when it became critical, or None.
    ends: exclusive; the calendar's end if the drop continues.
    lowest: lowest value, as a share of the usual one.
    area: the drop in percent times its minutes.
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
    """Yields a series' values with the usual value beside each, by the rule of its signal."""
    rule = RULES[series.signal.rule]
    if rule.window:
        return against_median(series.stretches, series.signal.step, rule.window)
    return against_forecast(series)


def alerts_of(series: Series) -> list[Alert]:
    """Returns the alerts of a series over its whole calendar, in order."""
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
    """IODA's overall score: the product, over the sources with alerts, of their alerts' total areas; 0 if none has."""
    areas = [area for alerts in by_source if (area := sum(alert.area for alert in alerts)) > 0]
    return prod(areas) if areas else 0.0
