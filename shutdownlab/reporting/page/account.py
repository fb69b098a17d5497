"""Summarises a run's results by phase, service and region, for all parts of the report. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.cut_offs import HARDLY, CutOff, cut_offs, regional_cut_offs
from shutdownlab.reporting.page.watched import WatchedSignal, watched_of
from shutdownlab.reporting.page.words import short
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.results.table import Share, Table, table_of

_HOUR = 3_600.0
_AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A measured phase, with its start and end in the scenario's time. until: None if the end is unknown."""

    name: str
    title: str
    at: datetime
    until: datetime | None

    @property
    def hours(self) -> float:
        """The duration in hours; 0 if the end is unknown."""
        return (self.until - self.at).total_seconds() / _HOUR if self.until else 0.0


@dataclass(frozen=True)
class RunAccount:
    """A run in the form that the report uses.

    name: the run directory's name. manifest: the content of manifest.json. status: how the run ended; `steered`: not a
    run, but a country steered by hand (`shutdownlab web`). shutdown: the run's scenario, if it still exists, unchanged;
    otherwise None, and `missing` is the reason. readings: the readings of outside signals.
    """

    name: str
    status: str
    manifest: Mapping[str, Any]
    results: Sequence[Result]
    faults: Sequence[str] = ()
    shutdown: Shutdown | None = None
    missing: str = ""
    readings: Sequence[Reading] = ()

    @property
    def title(self) -> str:
        """The scenario's title; without one, its name or the run's."""
        return str(self.manifest.get("title") or self.manifest.get("scenario") or self.name)

    def within(self, text: str) -> str:
        """Returns a text with the scenario's folder removed from paths, so that the page does not disclose where files
        are on the author's machine."""
        document = self.shutdown.document if self.shutdown is not None else None
        folder = PurePath(document.file).parent if document is not None else PurePath()
        return text.replace(f"{folder}/", "") if folder.is_absolute() else text

    @cached_property
    def table(self) -> Table:
        """Shares of ordinary subscribers, by phase and column."""
        return table_of(self.results, self.manifest.get("columns", ()), strict=self.is_measured)

    @property
    def is_measured(self) -> bool:
        """Whether packets were sent. If not, a cell that `verify` could not decide is no unmet expectation."""
        return self.status != "verified"

    @cached_property
    def spans(self) -> tuple[PhaseSpan, ...]:
        """The measured phases, in order. A phase lasts until the scenario's next phase, measured or not.

        Results have times to the minute; if the scenario is available, its exact times are used.
        """
        planned = [(str(p["phase"]), str(p["title"]), str(p["at"])) for p in self.manifest.get("phases", ())]
        titles = {name: title for name, title, _ in planned}
        known = {name: datetime.fromisoformat(at) for name, _, at in planned} | dict(self.table.phases)
        ends = None
        if self.shutdown is not None:
            known = {phase.phase: phase.at for phase in self.shutdown.scenario.timeline}
            ends = self.shutdown.scenario.ends
        moments = sorted(known.values())
        found = []
        for name, to_the_minute in self.table.phases:
            exact = known.get(name, to_the_minute)
            at = exact if exact.replace(second=0) == to_the_minute else to_the_minute
            later = [moment for moment in moments if moment > at]
            found.append(PhaseSpan(name, titles.get(name, ""), at, later[0] if later else ends))
        return tuple(found)

    @cached_property
    def states(self) -> tuple[PhaseSpan, ...]:
        """The measured phases, and those between them that were not measured, as the scenario has them, in order."""
        if self.shutdown is None or not self.spans:
            return self.spans
        measured = {span.name for span in self.spans}
        first, last = self.spans[0], self.spans[-1]
        timeline = self.shutdown.scenario.timeline
        between = (
            PhaseSpan(phase.phase, phase.title, phase.at, later.at)
            for phase, later in pairwise(timeline)
            if phase.phase not in measured and first.at < phase.at < last.at
        )
        return tuple(sorted((*self.spans, *between), key=lambda span: span.at))

    def short(self, moment: datetime) -> str:
        """Returns a time as tables show it: with the year if the run spans more than one."""
        first, last = self.spans[0].at, self.spans[-1].until or self.spans[-1].at
        return short(moment, with_year=first.year != last.year)

    @cached_property
    def watched(self) -> tuple[WatchedSignal, ...]:
        """The outside signals that were observed; empty if there are no readings."""
        if not self.readings or not self.spans:
            return ()
        last = self.spans[-1]
        offset = self.shutdown.scenario.utc_offset if self.shutdown is not None else 0
        phases = [(span.name, span.at) for span in self.spans]
        # a steered country changes within seconds; detectors work on minutes to hours, so they are not run on it
        return watched_of(self.readings, phases, last.until or last.at + _AN_HOUR, offset, detected=not self.is_steered)

    @property
    def is_steered(self) -> bool:
        """Whether this is not a run, but a country steered by hand (`shutdownlab web`)."""
        return self.status == "steered"

    @cached_property
    def unmeasured(self) -> tuple[str, ...]:
        """The names of the planned phases that have not been measured."""
        measured = {span.name for span in self.spans}
        return tuple(p["phase"] for p in self.manifest.get("phases", ()) if p["phase"] not in measured)

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The columns measured from subscribers' lines, in the table's order."""
        inside = {column_of(result) for result in self.results if result.region}
        return tuple(column for column in self.table.columns if column in inside)

    @cached_property
    def common(self) -> tuple[str, ...]:
        """The services by which regions can be compared: those measured for ordinary subscribers in every region, or
        all services if there are none."""
        where: dict[str, set[str]] = {}
        for result in self.results:
            if result.region and result.weight:
                where.setdefault(column_of(result), set()).add(result.region)
        found = tuple(column for column in self.services if where.get(column, set()) == self.regions.keys())
        return found or self.services

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """The columns measured only from outside the country."""
        seen = {column_of(result) for result in self.results if not result.region}
        return tuple(column for column in self.table.columns if column in seen and column not in self.services)

    @cached_property
    def operators(self) -> dict[str, str]:
        """The operators' titles, by name."""
        names = dict.fromkeys(result.operator for result in self.results)
        titles = dict(self.manifest.get("operators", {}))
        return {name: str(titles.get(name, name)) for name in names}

    @cached_property
    def regions(self) -> dict[str, str]:
        """The regions' titles, by name; in the topology's order if the scenario is available."""
        found = dict.fromkeys(result.region for result in self.results if result.region)
        if self.shutdown is None:
            return {name: name for name in found}
        known = self.shutdown.topology.regions
        return {name: known[name].title for name in known if name in found}

    @cached_property
    def served(self) -> dict[str, set[str]]:
        """The regions measured on each operator's lines, by operator."""
        found: dict[str, set[str]] = {}
        for result in self.results:
            if result.region:
                found.setdefault(result.operator, set()).add(result.region)
        return found

    def of(self, phase: str) -> Sequence[Result]:
        """Returns the results of a phase; empty if it was not measured."""
        return self._by_phase.get(phase, [])

    @cached_property
    def _by_phase(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.phase, []).append(result)
        return found

    @cached_property
    def in_regions(self) -> dict[tuple[str, str, str], Share]:
        """Shares by phase, region and column."""
        found: dict[tuple[str, str, str], Share] = {}
        for result in self.results:
            if result.region:
                key = result.phase, result.region, column_of(result)
                found.setdefault(key, Share()).add(result)
        return found

    def share(self, phase: str, column: str, regions: Collection[str]) -> Share:
        """Returns the share of a column in a phase over several regions together; `slow` is not set."""
        parts = [self.in_regions.get((phase, region, column), Share()) for region in regions]
        return Share(sum(part.measured for part in parts), sum(part.reached for part in parts))

    @cached_property
    def telephony(self) -> frozenset[str]:
        """The services that are telephone calls or text messages, not Internet. Empty if the scenario is missing."""
        probes = self.shutdown.scenario.probes if self.shutdown is not None else {}
        telephone = {name for name, probe in probes.items() if probe.test in {"call", "sms"}}
        return frozenset(column_of(result) for result in self.results if result.target in telephone)

    @cached_property
    def blocked_by_name(self) -> frozenset[str]:
        """The services that hardly anybody reached in a phase without outages whose orders all name what they block.

        They say nothing about whether the country is cut off in other phases. Empty if the scenario is missing.
        """
        if self.shutdown is None:
            return frozenset()
        scenario, choices = self.shutdown.scenario, dict(self.manifest.get("choices", {}))
        found = set()
        for span in self.spans:
            orders = [scenario.policies[name] for name in scenario.active(span.name, choices)]
            if all(policy.names_what_it_blocks for policy in orders) and not self._has_down(span.name):
                shares = {column: self.table[span.name, column].fraction for column in self.services}
                found |= {column for column, share in shares.items() if share is not None and share < HARDLY}
        return frozenset(found)

    def _has_down(self, phase: str) -> bool:
        return any(result.outcome is Outcome.DOWN for result in self.of(phase))

    def hours_without(self, region: str, column: str) -> float | None:
        """Returns for how many hours no ordinary subscriber in a region reached a service; None if it was never
        measured there."""
        shares = [(span, self.in_regions.get((span.name, region, column))) for span in self.spans]
        measured = [(span, share) for span, share in shares if share is not None and share.fraction is not None]
        return sum(span.hours for span, share in measured if share.fraction == 0) if measured else None

    @cached_property
    def cut_offs(self) -> list[CutOff]:
        """The states in which the country was cut off, gravest first."""
        return sorted(cut_offs(self), key=lambda state: state.gravity)

    @cached_property
    def regional_cut_offs(self) -> list[CutOff]:
        """The states in which regions were cut off while the country as a whole was not, most hours first."""
        return regional_cut_offs(self)

    @cached_property
    def worst(self) -> int:
        """The index of the phase that the page and the map open on: the first of the gravest state in which the country
        was cut off, which the headline is of, or of a region's; where nothing was cut off, the phase in which the
        smallest share of subscribers got through, averaged over services, the first of equals.

        Phases do not all measure the same services, so that averages of two of them are not alike.
        """
        for state in self.cut_offs or self.regional_cut_offs:
            return state.places[0]
        return max(range(len(self.spans)), key=lambda place: (self._loss(place), -place), default=0)

    def _loss(self, place: int) -> float:
        shares = [self.table[self.spans[place].name, column].fraction for column in self.services]
        measured = [share for share in shares if share is not None]
        return round(1 - sum(measured) / len(measured), 9) if measured else 0.0


def column_of(result: Result) -> str:
    """Returns the heading under which tables show a result."""
    return result.column or result.target


ORDER = (Outcome.OK, Outcome.THROTTLED, Outcome.BLOCKED, Outcome.DOWN, Outcome.ERROR, Outcome.UNKNOWN)
"""The outcomes in the order of legends."""

SYMBOLS = {
    Outcome.OK: "✓",
    Outcome.THROTTLED: "~",
    Outcome.BLOCKED: "✕",
    Outcome.DOWN: "▽",
    Outcome.ERROR: "!",
    Outcome.UNKNOWN: "?",
}
"""Symbols that distinguish the outcomes without colour."""

MEANINGS = {
    Outcome.OK: "got through",
    Outcome.THROTTLED: "got through, but slowly",
    Outcome.BLOCKED: "blocked",
    Outcome.DOWN: "down: not reached because of a fault, or a cable, power or masts switched off; not blocking",
    Outcome.ERROR: "no verdict: the probe itself failed",
    Outcome.UNKNOWN: "no verdict: the testbed could not make it certain",
}
