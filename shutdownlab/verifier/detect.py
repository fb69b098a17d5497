"""Which mechanism shows in which outside signal: `sl.detect`. Pure.

Each policy of a scenario is put in force alone, at its times in the scenario, over the same calendar with quiet weeks
before: what each signal's detector reports is then due to this mechanism alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import a_share, choices_of
from shutdownlab.model.noise import Noise
from shutdownlab.model.policy import Policy
from shutdownlab.model.signal import SignalName
from shutdownlab.results.reading import Reading, Scope
from shutdownlab.signals.alerts import Alert, Level, alerts_of, severity
from shutdownlab.signals.calendar import Calendar, calendar_of
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.series import QUIET, Key, Series, series_of, unsteady
from shutdownlab.verifier.mechanisms import mechanism_of, whom
from shutdownlab.verifier.outside import Outside

TOGETHER: Final = "all together"
QUIET_WEEKS: Final = 4
STILL: Final = 0.005
"""By less than this share of a quiet day's value, a signal doesn't count as moved."""
_IODA: Final = ("bgp", "active-probing", "telescope")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one signal's detector reports of one mechanism, for the country or one of its parts.

    times: how often the mechanism came into force.
    seen: in how many of these times an alert was raised.
    raised: when the first alert was raised (UTC), or None.
    late: minutes until then from when the mechanism came into force and moved the signal, or None: of all policies
    together, those that came earlier and don't show in this signal don't count.
    lowest: the lowest value in its alerts, as a share of the usual one; without alerts, the lowest value while the
    mechanism was in force, as a share of a quiet day's.
    highest: the highest value while the mechanism was in force, as a share of a quiet day's.
    area: IODA's measure, the sum over alerts of the drop in percent times its minutes.
    """

    signal: str
    scope: Scope
    of: str
    family: str
    times: int
    seen: int
    raised: datetime | None
    late: int | None
    level: Level
    lowest: float
    highest: float
    area: float


@dataclass(frozen=True, slots=True)
class Detected:
    """What every signal shows of one policy, or of all policies together.

    whom: whom the policy concerns, in words.
    since: when it first came into force (UTC).
    score: IODA's overall severity of the country, over its three sources.
    """

    scenario: str
    policy: str
    title: str
    mechanism: str
    whom: str
    since: datetime
    sights: tuple[Sight, ...]
    score: float

    def country(self, signal: str) -> Sight | None:
        """Returns a signal's sight of the whole country, of both address families or else IPv4, or None."""
        of_country = [sight for sight in self.sights if sight.signal == signal and sight.scope == "country"]
        return next((sight for family in ("both", "ipv4") for sight in of_country if sight.family == family), None)

    def best(self, signal: str) -> Sight | None:
        """Returns the sight in which a signal shows it best: the country's if it is seen there, else the earliest one.

        The latter may be of a part of the country or of IPv6. If it is seen nowhere, returns the country's.
        """
        of_signal = [sight for sight in self.sights if sight.signal == signal]
        whole = self.country(signal)
        if whole is not None and whole.seen:
            return whole
        seen = [sight for sight in of_signal if sight.seen]
        return min(seen, key=lambda sight: (sight.late or 0, sight.lowest), default=whole)


@dataclass(frozen=True, slots=True)
class Detectability:
    """A table of mechanisms by signals, for some scenarios.

    rows: for each scenario, each policy that comes into force, then all of them together.
    false_alarms: by signal, the number of alerts in four quiet weeks, of all scenarios together.
    noise: relative standard deviation of each value; None: each scenario's own `noise`.
    """

    rows: tuple[Detected, ...]
    false_alarms: Mapping[str, int]
    noise: float | None
    seed: int
    unsteady: bool
    """Whether any of the scenarios has noise."""

    def __repr__(self) -> str:
        scenarios = len({row.scenario for row in self.rows})
        return f"Detectability(of {scenarios} scenarios, {len(self.rows)} rows)"


def detect(
    *scenarios: str | Path | Mapping[str, Any] | Shutdown,
    choose: Mapping[str, str] | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> Detectability:
    """Works out which mechanism of some scenarios shows in which outside signal, when, how late and how strongly.

    choose: where sources disagree, the version to follow, by the question's name.
    noise: relative standard deviation of each value, 0 to 1; applied in the quiet weeks for false alarms and when all
    mechanisms are in force together. None: each scenario's own `noise`.
    seed: of the noise; the same seed gives the same result.

    Raises `BadInput`.
    """
    if noise is not None:
        noise = a_share(noise, "noise", "0.02: two percent of each value")
    rows: list[Detected] = []
    alarms = dict.fromkeys(SIGNALS, 0)
    any_noise = False
    for scenario in scenarios:
        shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario)
        looked = _Look(shutdown, choices_of(shutdown.scenario, choose or {}, "choose"))
        drawn = shutdown.scenario.noise if noise is None else _everywhere(noise, seed)
        any_noise = any_noise or drawn is not None
        rows += looked.rows(drawn)
        for signal, count in looked.false_alarms(drawn).items():
            alarms[signal] += count
    return Detectability(tuple(rows), alarms, noise, seed, any_noise)


def _everywhere(noise: float, seed: int) -> Noise | None:
    """Returns the same noise for every signal; None for 0."""
    # not validated: scenarios write a percentage, and this is a share
    return Noise.model_construct(spread=dict.fromkeys(get_args(SignalName), noise), seed=seed) if noise else None


class _Look:
    """Evaluates the outside signals of one scenario."""

    def __init__(self, shutdown: Shutdown, choices: Mapping[str, str]) -> None:
        self.scenario, self.choices = shutdown.scenario, choices
        self.outside = Outside(shutdown, choices)
        times = [(phase.phase, phase.at) for phase in self.scenario.timeline]
        self.calendar = calendar_of(times, self.scenario.ends, self.scenario.utc_offset)
        self._active = {p.phase: self.scenario.active(p.phase, choices) for p in self.scenario.timeline}
        self._quiet = self.outside.alone({})
        self._judged: dict[object, list[Alert]] = {}

    def rows(self, noise: Noise | None) -> Iterator[Detected]:
        for name in dict.fromkeys(name for active in self._active.values() for name in active):
            policy = self.scenario.policies[name]
            phases = [phase for phase, active in self._active.items() if name in active]
            yield self._row(name, policy.title, mechanism_of(policy), whom(policy), phases, self._alone(name, policy))
        phases = [phase for phase, active in self._active.items() if active]
        if phases:
            readings = [r for phase in self.scenario.timeline for r in self.outside.of(phase)]
            yield self._row(TOGETHER, self.scenario.title, TOGETHER, "all", phases, readings, noise)

    def _alone(self, name: str, policy: Policy) -> Iterator[Reading]:
        in_force = self.outside.alone({name: policy})
        for phase, active in self._active.items():
            for reading in in_force if name in active else self._quiet:
                yield replace(reading, phase=phase)

    def _alerts(self, series: Series) -> list[Alert]:
        """Returns a series' alerts; cached by its values, because most series are equal: nothing happens in them."""
        key = series.signal, series.stretches
        if key not in self._judged:
            self._judged[key] = alerts_of(series)
        return self._judged[key]

    def _row(
        self, name: str, title: str, mechanism: str, about: str, phases: Sequence[str], readings: Iterable[Reading],
        noise: Noise | None = None,
    ) -> Detected:  # fmt: skip
        calendar = self.calendar
        times = list(_stretches(calendar, phases))
        series = steady = series_of(readings, calendar)
        if noise is not None:
            series = {
                key: unsteady(each, noise)
                for key, each in series.items()
                if key[1] == "country" or key[0] not in noise.spread
            }
        alerts = {key: self._alerts(each) for key, each in series.items()}
        sights = tuple(_sight(each, alerts[key], times, steady[key]) for key, each in series.items())
        country = [
            found for key, found in alerts.items() if key[0] in _IODA and key[1] == "country" and key[3] == "ipv4"
        ]
        since = calendar.time(times[0][0])
        score = severity(country)
        return Detected(self.scenario.name, name, title, mechanism, about, since, sights, score)

    def false_alarms(self, noise: Noise | None) -> dict[str, int]:
        """Returns the number of alerts in four quiet weeks, by signal, for the whole country."""
        start = self.scenario.timeline[0].at
        weeks = calendar_of([("quiet", start)], start + timedelta(weeks=QUIET_WEEKS), self.scenario.utc_offset)
        quiet = series_of([replace(reading, phase="quiet") for reading in self._quiet], weeks)
        country = {key: each for key, each in quiet.items() if key[1] == "country" and key[3] != "ipv6"}
        found = {key: alerts_of(unsteady(each, noise)) for key, each in country.items()}
        return {key[0]: len(alerts) for key, alerts in found.items()}


def _stretches(calendar: Calendar, phases: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the periods of some phases as (start, end) minutes of the calendar; adjacent phases are one period."""
    start: int | None = None
    for name, minute in calendar.starts:
        if name in phases and start is None:
            start = minute
        if name not in phases and start is not None:
            yield start, minute
            start = None
    if start is not None:
        yield start, calendar.ends


def _sight(series: Series, alerts: Sequence[Alert], times: Sequence[tuple[int, int]], steady: Series) -> Sight:
    """`steady`: the series without noise."""
    key: Key = series.key
    calendar = series.calendar
    raised = [(alert, start) for alert in alerts for start, end in times if start <= alert.raised < end]
    first = min(raised, key=lambda each: each[0].raised, default=None)
    quiet = series.stretches[0].value or QUIET
    held = [(series.lowest(*_rounds(series, time)), series.highest(*_rounds(series, time))) for time in times]
    lowest = min([alert.lowest for alert, _ in raised] or [low / quiet for low, _ in held])
    critical = any(alert.critical is not None for alert, _ in raised)
    return Sight(
        signal=key[0], scope=key[1], of=key[2], family=key[3], times=len(times),
        seen=len({start for _, start in raised}),
        raised=calendar.time(first[0].raised) if first else None,
        late=first[0].raised - _moved(steady, first[1], first[0].raised) if first else None,
        level="critical" if critical else "warning" if raised else "normal",
        lowest=lowest, highest=max(high / quiet for _, high in held), area=sum(alert.area for alert, _ in raised),
    )  # fmt: skip


def _moved(steady: Series, start: int, raised: int) -> int:
    """Returns when the first phase from `start` to `raised` began in which the signal isn't at its quiet level."""
    quiet = steady.stretches[0].value or QUIET
    phases = [minute for _, minute in steady.calendar.starts if start <= minute <= raised]
    rounds = [_rounds(steady, (minute, minute))[0] for minute in phases]
    moved = (minute for minute, at in zip(phases, rounds, strict=True) if abs(steady.level(at) / quiet - 1) >= STILL)
    return next(moved, start)


def _rounds(series: Series, time: tuple[int, int]) -> tuple[int, int]:
    """Returns a period from a series' first measuring round in it: (start, end) in minutes, never empty."""
    step = series.signal.step
    start = -(-time[0] // step) * step
    return start, max(start + 1, time[1])
