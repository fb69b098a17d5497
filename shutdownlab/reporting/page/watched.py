"""Outside signals of the whole country, phase by phase, and the alerts that their detectors raise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shutdownlab.results.reading import Reading
from shutdownlab.signals.alerts import Level, alerts_of
from shutdownlab.signals.calendar import Calendar, calendar_of
from shutdownlab.signals.catalogue import SIGNALS, place_of, title_of
from shutdownlab.signals.series import series_of


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert of a signal's detector. raised: when the detector reports it, which may be after it `begins`. ends:
    None if the alert lasts to the end of the last phase."""

    level: Level
    begins: datetime
    raised: datetime
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class WatchedSignal:
    """One signal, over one address family or both.

    levels: readings by phase, as shares of a quiet day. modelled: the phases whose reading was not measured. judged:
    whether a detector was run on it.
    """

    name: str
    family: str
    levels: Mapping[str, float]
    modelled: frozenset[str]
    alerts: tuple[RaisedAlert, ...]
    judged: bool

    @property
    def title(self) -> str:
        """The signal's name as the page shows it."""
        return title_of(self.name)

    @property
    def label(self) -> str:
        """The title, with the address family unless the signal covers both."""
        return self.title if self.family == "both" else f"{self.title}, {self.family.replace('ipv', 'IPv')}"

    @property
    def is_modelled(self) -> bool:
        """Whether none of it was measured."""
        return self.modelled >= self.levels.keys()

    @property
    def lowest(self) -> tuple[str, float]:
        """The phase with the lowest level (the first of equals), and that level."""
        return min(self.levels.items(), key=lambda level: level[1])


def watched_of(
    readings: Iterable[Reading],
    phases: Sequence[tuple[str, datetime]],
    ends: datetime,
    utc_offset: int,
    *,
    detected: bool = True,
) -> tuple[WatchedSignal, ...]:
    """Returns the signals of the whole country, in the catalogue's order; empty if there are no readings.

    A count is taken as a share of the signal's first reading. phases: names and start times, in order. ends: when the
    last phase ends. utc_offset: seconds by which the country's clocks are ahead of UTC. detected: whether the signals'
    detectors are run.
    """
    whole = [reading for reading in readings if reading.scope == "country"]
    by_signal: dict[tuple[str, str], dict[str, Reading]] = {}
    for reading in whole:
        by_signal.setdefault((reading.signal, reading.family), {})[reading.phase] = reading
    if not by_signal or not phases:
        return ()
    alerts = _alerts(whole, calendar_of(phases, ends, utc_offset)) if detected else {}
    found = []
    for (signal, of), by_phase in sorted(by_signal.items(), key=lambda each: place_of(each[0][0])):
        first = next(iter(by_phase.values()))
        quiet = 1.0 if first.unit == "share" else first.value
        levels = {phase: reading.value / quiet if quiet else 0.0 for phase, reading in by_phase.items()}
        modelled = frozenset(phase for phase, reading in by_phase.items() if reading.basis != "measured")
        raised = alerts.get((signal, of), ())
        found.append(WatchedSignal(signal, of, levels, modelled, raised, detected and signal in SIGNALS))
    return tuple(found)


def _alerts(whole: Iterable[Reading], calendar: Calendar) -> dict[tuple[str, str], tuple[RaisedAlert, ...]]:
    """Returns the alerts that last into the first phase or begin later, by signal and family."""
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
