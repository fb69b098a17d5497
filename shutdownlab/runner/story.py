"""Annotates a run's packet captures with its events, in scenario time and wall-clock time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shutdownlab.results.events import (
    Acknowledged,
    Confirmed,
    Event,
    Ordered,
    PhaseBegun,
    PhaseMeasured,
    SelfChecked,
    Voided,
)

Mark = Callable[[str, str], None]
"""Takes a sentence, and the switch whose capture to annotate ("": all)."""


class Story:
    """A listener that annotates the captures with those of a run's events that explain packets."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def __call__(self, event: Event) -> None:
        """Annotates the captures if the event explains packets."""
        text = comment_of(event)
        if text:
            switch = event.switch if isinstance(event, Acknowledged) else ""
            self._mark(f"{text} [{_utc(event.at)} by the wall clock]", switch)


def comment_of(event: Event) -> str:
    """Returns a sentence for an event that explains packets; "" for others."""
    match event:
        case SelfChecked():
            return f"self-check, with nothing blocked: {event.cells - len(event.broken)} of {event.cells} got through"
        case Ordered():
            policies = ", ".join(event.policies) or "no policy"
            when = _utc(event.scenario_time)
            return f"{when} in the scenario: order for {event.phase}, in mode {event.mode}: {policies} in force"
        case Acknowledged():
            return f"{event.switch} has obeyed order {event.serial}: {event.rules} rules"
        case Confirmed():
            return f"order for {event.phase} confirmed by every switch and DPI box after {event.seconds:.3f} s"
        case PhaseBegun():
            return f"{_utc(event.time)} in the scenario: {event.phase} is measured from here on: {event.title}"
        case PhaseMeasured():
            return f"{event.phase} is measured: {event.reached} of {event.cells} got through"
        case Voided():
            return f"{event.phase} is measured again: {'; '.join(event.reasons)}"
        case _:
            return ""


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
