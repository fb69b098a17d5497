"""Users of Tor and demand for VPNs, as Tor Metrics and Top10VPN publish them: one value per day. Pure.

Modelled, not measured (`signals.demand`). Tor's files are those of https://metrics.torproject.org/stats.html: users
over relays (`userstats-relay-country.csv`), over bridges, and over bridges by transport; dates are UTC, a day's value
is its mean. `lower` and `upper`, the range that Tor's detector expects, are empty, and all directories report (`frac`).
The number of users on a quiet day is ASSUMED: 500 per million subscribers over relays (some 2.5 million of 5,000
million), 20 over bridges, nine tenths of these over obfs4. A VPN demand index of 100 is the mean of the 28 days before.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shutdownlab.model.topology import Topology
from shutdownlab.results.reading import Reading
from shutdownlab.signals.calendar import DAY, Calendar
from shutdownlab.signals.demand import GAINS
from shutdownlab.signals.series import Series, series_of

_PER_MILLION: Final = {"tor-relays": 500, "tor-bridges": 20}
_TRANSPORTS: Final = {"obfs4": 0.9, "<OR>": 0.1}
_ALL: Final = 100
_LOOKS_BACK: Final = 28
_PREAMBLE: Final = "# Modelled by shutdownlab, in the form of https://metrics.torproject.org/stats.html\n"


def demand_files(
    readings: Iterable[Reading], topology: Topology, calendar: Calendar, until: datetime
) -> dict[str, bytes]:
    """Returns files by name, from the quiet days before the scenario to the day of `until`, if there are readings."""
    demanded = (each for each in readings if each.signal in GAINS and each.scope == "country")
    by_name = {key[0]: series for key, series in series_of(demanded, calendar).items()}
    days = list(_days(calendar, until))
    country, people = topology.country.lower(), sum(each.subscribers for each in topology.operators.values())
    found = {}
    if relays := by_name.get("tor-relays"):
        users = [(day, people * _PER_MILLION["tor-relays"] * value) for day, value in _means(relays, days)]
        found["userstats-relay-country.csv"] = _csv(
            ("date", "country", "users", "lower", "upper", "frac"),
            [(day, country, round(count), "", "", _ALL) for day, count in users],
        )
    if bridges := by_name.get("tor-bridges"):
        users = [(day, people * _PER_MILLION["tor-bridges"] * value) for day, value in _means(bridges, days)]
        found["userstats-bridge-country.csv"] = _csv(
            ("date", "country", "users", "frac"), [(day, country, round(count), _ALL) for day, count in users]
        )
        split = [
            (day, country, transport, round(count * share), round(count * share), _ALL)
            for day, count in users
            for transport, share in _TRANSPORTS.items()
        ]
        columns = "date", "country", "transport", "low", "high", "frac"
        found["userstats-bridge-combined.csv"] = _csv(columns, split)
    if vpn := by_name.get("vpn-demand"):
        found["vpn-demand.csv"] = _csv(("date", "country", "index", "increase"), list(_index(vpn, days, country)))
    return found


def _days(calendar: Calendar, until: datetime) -> Iterator[datetime]:
    """Yields the UTC days that begin within the calendar and before `until`."""
    at = calendar.begins.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while at < until:
        if at >= calendar.begins:
            yield at
        at += timedelta(days=1)


def _means(series: Series, days: Sequence[datetime]) -> Iterator[tuple[str, float]]:
    for at in days:
        start = series.calendar.minute(at)
        end = min(start + DAY, series.calendar.ends)
        if end > start:
            yield f"{at:%Y-%m-%d}", series.mean(start, end)


def _index(series: Series, days: Sequence[datetime], country: str) -> Iterator[tuple[str, str, int, str]]:
    values = list(_means(series, days))
    for place, (day, value) in enumerate(values):
        before = [usual for _, usual in values[max(0, place - _LOOKS_BACK) : place]] or [1.0]
        index = 100 * value / (sum(before) / len(before) or 1.0)
        yield day, country, round(index), f"{round(index) - 100:+d}%"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    out.write(_PREAMBLE)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode()
