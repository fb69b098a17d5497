"""Judges whether signals meet a scenario's expectations. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, Literal

from shutdownlab.model.noise import Noise
from shutdownlab.model.signal import SignalExpectation, percent_text
from shutdownlab.results.reading import Reading, Scope
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.signals.alerts import LEVELS, Alert, alerts_of
from shutdownlab.signals.calendar import Calendar
from shutdownlab.signals.series import QUIET, Key, Series, series_of, unsteady

NOT_READ: Final = "no reading of"
"""Prefix of the finding for a signal without readings."""
_MOST_PHASES: Final = 3


def needed(expected: Iterable[SignalExpectation], known: Iterable[str]) -> tuple[str, ...]:
    """Returns those of the `known` signals that the expectations need, in the order of `known`.

    An expectation about the first alert needs all of them.
    """
    about = list(expected)
    named = {each.signal for each in about}
    everything = any(each.first is not None for each in about)
    return tuple(name for name in known if everything or name in named)


def families(expected: Iterable[SignalExpectation]) -> tuple[Literal["ipv4", "ipv6"], ...]:
    """Returns the address families that the expectations need."""
    both = any(each.first is not None or each.family == "ipv6" for each in expected)
    return ("ipv4", "ipv6") if both else ("ipv4",)


def judge(
    expected: Sequence[SignalExpectation], readings: Sequence[Reading], calendar: Calendar, noise: Noise | None = None
) -> tuple[SignalVerdict, ...]:
    """Judges expectations by the available readings. Alerts are judged with the scenario's noise.

    Only phases that were observed count. If none of an expectation's phases was observed, or its signal has no
    readings, its verdict is None (`met`).
    """
    return tuple(_Judge(readings, calendar, noise).results(expected))


class _Judge:
    def __init__(self, readings: Sequence[Reading], calendar: Calendar, noise: Noise | None) -> None:
        self._calendar = calendar
        self._readings = readings
        self._series = series_of(readings, calendar)
        self._phases = {reading.phase for reading in readings}
        self._modelled = {(r.signal, r.scope, r.of, r.family) for r in readings if r.basis == "modelled"}
        self._alerts: Callable[[Key], list[Alert]] = cache(lambda key: alerts_of(unsteady(self._series[key], noise)))

    def results(self, expected: Sequence[SignalExpectation]) -> Iterator[SignalVerdict]:
        for each in expected:
            name = each.signal or each.first or ""
            series = self._find(name, each)
            observed = tuple(phase for phase in each.during if phase in self._phases)
            missing = [phase for _, phase in each.phases if phase not in self._phases]
            if series is None:
                yield _verdict(each, None, f"{NOT_READ} {name}")
            elif missing and not observed:
                yield _verdict(each, None, f"no reading in {', '.join(missing)}")
            else:
                met, found = self._judged(each.model_copy(update={"during": observed}), series)
                yield _verdict(each, met, found, "modelled" if series.key in self._modelled else "measured")

    def _find(self, name: str, each: SignalExpectation) -> Series | None:
        scope: Scope = "operator" if each.operator else "region" if each.region else "country"
        of = each.operator or each.region
        for family in (each.family,) if each.family else ("both", "ipv4"):
            key: Key = name, scope, of, family
            if key in self._series:
                return self._series[key]
        return None

    def _judged(self, each: SignalExpectation, series: Series) -> tuple[bool, str]:
        if each.first is not None:
            return self._is_first(each, series)
        if each.alert is not None:
            return self._alerted(each, series)
        return self._is_between(each, series)

    def _is_between(self, each: SignalExpectation, series: Series) -> tuple[bool, str]:
        """Judges by the phases' readings, not by the series: a phase may be shorter than the signal's interval."""
        values = dict(self._values(series.key))
        about = {phase: values[phase] for phase in each.during or values}
        wrong = [
            f"{percent_text(round(value, 4))} in {phase}"
            for phase, value in about.items()
            if (each.below is not None and value >= each.below) or (each.above is not None and value <= each.above)
        ]
        if wrong:
            return False, _some(wrong)
        least, most = (percent_text(round(value, 4)) for value in (min(about.values()), max(about.values())))
        return True, most if least == most else f"{least} to {most}"

    def _values(self, key: Key) -> Iterator[tuple[str, float]]:
        """Yields the reading of each observed phase as a share of a quiet day's; without one, the previous reading."""
        read = {r.phase: r for r in self._readings if (r.signal, r.scope, r.of, r.family) == key}
        first = next(iter(read.values()))
        quiet = QUIET if first.unit == "share" else first.value or 1.0
        value = 1.0
        for phase, _ in self._calendar.starts:
            if phase in self._phases:
                value = read[phase].value / quiet if phase in read else value
                yield phase, value

    def _alerted(self, each: SignalExpectation, series: Series) -> tuple[bool, str]:
        alerts = self._alerts(series.key)
        if each.alert == "none":
            touching = [a for a in alerts if not each.during or any(self._touches(a, phase) for phase in each.during)]
            return not touching, _some([self._alert_text(alert) for alert in touching]) if touching else "none"
        enough = [a for a in alerts if LEVELS.index(a.level) >= LEVELS.index(each.alert or "warning")]
        without = [phase for phase in each.during if not any(self._touches(a, phase) for a in enough)]
        if without:
            return False, f"none in {_some(without)}"
        meant = [a for a in enough if not each.during or any(self._touches(a, phase) for phase in each.during)]
        return bool(meant), _some([self._alert_text(alert) for alert in meant]) if meant else "none"

    def _touches(self, alert: Alert, phase: str) -> bool:
        return alert.raised < self._calendar.end(phase) and alert.ends > self._calendar.start(phase)

    def _alert_text(self, alert: Alert) -> str:
        stages = [("warning", alert.raised)] if alert.critical != alert.raised else []
        stages += [("critical", alert.critical)] if alert.critical is not None else []
        return ", ".join(f"{level} from {self._moment(minute)}" for level, minute in stages)

    def _moment(self, minute: int) -> str:
        where = self._calendar.phase_at(minute) or "the quiet days before"
        return f"{self._calendar.time(minute):%d %b %H:%M} ({where})"

    def _is_first(self, each: SignalExpectation, series: Series) -> tuple[bool, str]:
        others = [key for key in self._series if key[1:3] == series.key[1:3] and key[0] != series.key[0]]
        alerts = self._alerts(series.key)
        if not alerts:
            return False, "it raises no alert"
        raised = alerts[0].raised
        earlier = [key for key in others if any(alert.raised < raised for alert in self._alerts(key))]
        found = f"raised {self._calendar.time(raised):%d %b %H:%M}"
        if earlier:
            return False, f"{found}, after {_some(list(dict.fromkeys(key[0] for key in earlier)))}"
        before = self._calendar.start(each.before)
        if raised >= before:
            return False, f"{found}, not before {each.before}"
        return True, f"{found}, {_length(before - raised)} before {each.before}"


def _verdict(
    each: SignalExpectation, met: bool | None, found: str, basis: Literal["measured", "modelled", ""] = ""
) -> SignalVerdict:
    return SignalVerdict(expected=each.text, source=each.source, met=met, found=found, basis=basis)


def _length(minutes: int) -> str:
    days, rest = divmod(minutes, 24 * 60)
    return f"{days} d {rest // 60} h" if days else f"{rest // 60} h {rest % 60} min" if rest >= 60 else f"{rest} min"


def _some(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _MOST_PHASES} more" if len(parts) > _MOST_PHASES else ""
    return ", ".join(parts[:_MOST_PHASES]) + more
