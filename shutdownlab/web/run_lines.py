"""Turns a run's events, live or from its record, into lines of the page's log: as for a steered country, and steps."""

from __future__ import annotations

from collections.abc import Iterator

from shutdownlab.library import Shutdown
from shutdownlab.results.events import (
    Built,
    Confirmed,
    Counted,
    Damaged,
    Decided,
    Event,
    Fault,
    Finished,
    Notice,
    Ordered,
    PhaseMeasured,
    Rerouted,
    SelfChecked,
    Voided,
)
from shutdownlab.web.happenings import Happenings, Line, in_words


class RunLines:
    """The log lines of one run. shutdown: its scenario, if available: lines then link to the cells they are about."""

    def __init__(self, shutdown: Shutdown | None) -> None:
        self._happenings = Happenings(shutdown) if shutdown is not None else None

    def of(self, event: Event) -> Iterator[Line]:
        """Yields the log lines of an event, with its time by the wall clock."""
        at = f"{event.at:%H:%M:%S}"
        return ({"at": at, **line} for line in self._lines(event))

    def _lines(self, event: Event) -> Iterator[Line]:
        match event:
            case Built():
                yield _line("step", "The country is up.")
            case SelfChecked():
                work = event.cells - len(event.broken)
                yield _line("step", f"With no policy in force {work:,} of {event.cells:,} cells work.")
            case Damaged() if event.faults:
                yield _line("fault", f"Broken: {', '.join(event.faults.values())}", event.phase)
            case Ordered():
                yield _line("order", f"Ordered to be in force: {', '.join(event.policies) or 'nothing'}", event.phase)
            case Confirmed():
                yield _line("order", f"Carried out everywhere after {event.seconds:.1f} s", event.phase)
            case PhaseMeasured():
                yield _line("step", f"{event.reached:,} of {event.cells:,} cells got through", event.phase)
            case Voided():
                yield _line("notice", f"{event.phase} is measured again: {'; '.join(event.reasons)}", event.phase)
            case Decided():
                yield from self._decided(event)
            case Rerouted():
                yield from self._rerouted(event)
            case Counted() if event.phase and event.where != "relay":
                rules = event.counters.get("engine", {}).get("rules", {})
                decided = ", ".join(f"{name} {count:,}" for name, count in rules.items() if count)
                if decided:
                    yield _line("box", f"{event.where}, connections decided by each rule: {decided}", event.phase)
            case Notice():
                yield _line("notice", f"{event.where}: {event.text}")
            case Fault():
                yield _line("notice", event.text)
            case Finished():
                text = f"The run has {event.status}; {event.cells:,} cells, {event.unmet:,} not as expected."
                yield _line("step", text)

    def _decided(self, event: Decided) -> Iterator[Line]:
        if self._happenings is not None:
            yield from self._happenings.decided(event.where, event.decisions, event.others, event.phase, more=True)
            return
        for decision in event.decisions:
            yield _line("decision", f"{event.where}: {in_words(decision)}", event.phase)

    def _rerouted(self, event: Rerouted) -> Iterator[Line]:
        if self._happenings is not None:
            yield from self._happenings.rerouted(event.where, event.lost, event.heard, event.phase)
            return
        for prefixes, what in ((event.lost, "lost"), (event.heard, "heard of")):
            if prefixes:
                yield _line("bgp", f"{event.where} has {what} {', '.join(prefixes)}", event.phase)


def _line(kind: str, text: str, phase: str = "") -> Line:
    return {"kind": kind, "text": text} | ({"phase": phase} if phase else {})
