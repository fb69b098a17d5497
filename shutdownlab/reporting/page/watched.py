"""What outsiders' signals showed of the whole country, phase by phase, and when their detectors raised alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shutdownlab.results.reading import Reading
from shutdownlab.signals.alerts import Level, alerts_of
from shutdownlab.signals.calendar import Calendar, calendar_of
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.series import series_of

_TITLES: Final = {
    "bgp": "BGP", "cdn": "CDN volume", "http3": "HTTP/3 share", "mobile": "mobile share", "dns-queries": "DNS queries",
    "atlas-datacentre": "Atlas in data centres", "atlas-home": "Atlas at home", "hyperquack": "Hyperquack",
    "tor": "Tor", "tor-relays": "Tor relays", "tor-bridges": "Tor bridges", "vpn-demand": "VPN demand",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert of a signal's detector. raised: when the detector tells it, which may be later than it `begins`. ends:
    None where it goes on at the end."""

    level: Level
    begins: datetime
    raised: datetime
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class WatchedSignal:
    """One signal, of one address family or of both.

    levels: by phase, what was read as a share of a quiet day. modelled: the phases whose reading is not measured.
    judged: whether there is a detector's rule for it.
    """

    name: str
    family: str
    levels: Mapping[str, float]
    modelled: frozenset[str]
    alerts: tuple[RaisedAlert, ...]
    judged: bool

    @property
    def title(self) -> str:
        """What it is called."""
        return _TITLES.get(self.name, self.name.replace("-", " "))

    @property
    def label(self) -> str:
        """The same, and the family where it is of one."""
        return self.title if self.family == "both" else f"{self.title}, {self.family.replace('ipv', 'IPv')}"

    @property
    def lowest(self) -> tuple[str, float]:
        """The first phase in which it was at its lowest, and the share."""
        return min(self.levels.items(), key=lambda level: level[1])


def watched_of(
    readings: Iterable[Reading],
    phases: Sequence[tuple[str, datetime]],
    ends: datetime,
    utc_offset: int,
    *,
    detected: bool = True,
) -> tuple[WatchedSignal, ...]:
    """The signals of the whole country, in the order of the readings.

    phases: names and beginnings, in order. utc_offset: seconds that the country's clocks are ahead of UTC. detected:
    whether their detectors are asked for alerts.
    """
    whole = [reading for reading in readings if reading.scope == "country"]
    by_signal: dict[tuple[str, str], dict[str, Reading]] = {}
    for reading in whole:
        by_signal.setdefault((reading.signal, reading.family), {})[reading.phase] = reading
    if not by_signal or not phases:
        return ()
    alerts = _alerts(whole, calendar_of(phases, ends, utc_offset)) if detected else {}
    found = []
    for (signal, of), by_phase in by_signal.items():
        first = next(iter(by_phase.values()))
        quiet = 1.0 if first.unit == "share" else first.value
        levels = {phase: reading.value / quiet if quiet else 0.0 for phase, reading in by_phase.items()}
        modelled = frozenset(phase for phase, reading in by_phase.items() if reading.basis != "measured")
        raised = alerts.get((signal, of), ())
        found.append(WatchedSignal(signal, of, levels, modelled, raised, detected and signal in SIGNALS))
    return tuple(found)


def _alerts(whole: Iterable[Reading], calendar: Calendar) -> dict[tuple[str, str], tuple[RaisedAlert, ...]]:
    """Of each signal and family, what its detector raises from the first phase on."""
    return {
        (signal, family): tuple(
            RaisedAlert(
                alert.level, calendar.time(alert.begins), calendar.time(alert.raised),
                calendar.time(alert.ends) if alert.ends < calendar.ends else None,
            )
            for alert in alerts_of(series)
            if alert.ends > calendar.quiet_until
        )
        for (signal, _, _, family), series in series_of(whole, calendar).items()
    }  # fmt: skip
