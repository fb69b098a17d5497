"""What became of a country, put together from the rows of a run: what every part of the report stands on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import PurePath
from typing import Any

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.reporting.page.watched import WatchedSignal, watched_of
from shutdownlab.reporting.page.words import short
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.results.table import Share, Table, table_of

_HOUR = 3_600.0
_AN_HOUR = timedelta(hours=1)
HARDLY = 0.25
"""The share of subscribers below which hardly anybody reached a service."""


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A phase that was measured, from when to when in the scenario's time. until: None where nothing says it."""

    name: str
    title: str
    at: datetime
    until: datetime | None

    @property
    def hours(self) -> float:
        """How long it lasted; 0 where nothing says it."""
        return (self.until - self.at).total_seconds() / _HOUR if self.until else 0.0


@dataclass(frozen=True)
class RunAccount:
    """A run as the report takes it.

    name: of the run directory. manifest: as it is there. status: how the run ended; `steered`: it is no run, but a
    country that somebody steers (`shutdownlab web`). shutdown: the scenario that it was
    a run of, if it is still there and the same; `missing` says why it is not. readings: of outsiders' signals.
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
        """Of the scenario."""
        return str(self.manifest.get("title") or self.manifest.get("scenario") or self.name)

    def within(self, text: str) -> str:
        """A text with the scenario's files named from its folder: whoever reads the page need not learn from it where
        on somebody's machine they are."""
        document = self.shutdown.document if self.shutdown is not None else None
        folder = PurePath(document.file).parent if document is not None else PurePath()
        return text.replace(f"{folder}/", "") if folder.is_absolute() else text

    @cached_property
    def table(self) -> Table:
        """Shares of ordinary subscribers, by phase and column."""
        return table_of(self.results, self.manifest.get("columns", ()), strict=self.is_measured)

    @property
    def is_measured(self) -> bool:
        """Whether packets were sent: what `verify` could not decide is no expectation that was not met."""
        return self.status != "verified"

    @cached_property
    def spans(self) -> tuple[PhaseSpan, ...]:
        """The phases that were measured, in order. One lasts until the scenario's next, measured or not.

        Records have moments to the minute; where the scenario is there, its own are taken.
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

    def short(self, moment: datetime) -> str:
        """A moment as tables have it: with its year, where the phases are not all of one."""
        first, last = self.spans[0].at, self.spans[-1].until or self.spans[-1].at
        return short(moment, with_year=first.year != last.year)

    @cached_property
    def watched(self) -> tuple[WatchedSignal, ...]:
        """The signals by which outsiders watched the country; none where nobody did."""
        if not self.readings or not self.spans:
            return ()
        last = self.spans[-1]
        offset = self.shutdown.scenario.utc_offset if self.shutdown is not None else 0
        phases = [(span.name, span.at) for span in self.spans]
        # what is steered changes in seconds: detectors, which look at minutes to hours, are not asked
        return watched_of(self.readings, phases, last.until or last.at + _AN_HOUR, offset, detected=not self.is_steered)

    @property
    def is_steered(self) -> bool:
        """Whether it is no run, but a country that somebody steers."""
        return self.status == "steered"

    @cached_property
    def unmeasured(self) -> tuple[str, ...]:
        """The phases that the run was to measure, and has not."""
        measured = {span.name for span in self.spans}
        return tuple(p["phase"] for p in self.manifest.get("phases", ()) if p["phase"] not in measured)

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The columns that are measured from subscribers' lines, in order."""
        inside = {column_of(result) for result in self.results if result.region}
        return tuple(column for column in self.table.columns if column in inside)

    @cached_property
    def common(self) -> tuple[str, ...]:
        """The services by which regions can be compared: those measured in all of them, or else all services."""
        where: dict[str, set[str]] = {}
        for result in self.results:
            if result.region and result.weight:
                where.setdefault(column_of(result), set()).add(result.region)
        found = tuple(column for column in self.services if where.get(column, set()) == self.regions.keys())
        return found or self.services

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """The columns of what is seen from outside the country."""
        seen = {column_of(result) for result in self.results if not result.region}
        return tuple(column for column in self.table.columns if column in seen and column not in self.services)

    @cached_property
    def operators(self) -> dict[str, str]:
        """Titles, by name."""
        names = dict.fromkeys(result.operator for result in self.results)
        titles = dict(self.manifest.get("operators", {}))
        return {name: str(titles.get(name, name)) for name in names}

    @cached_property
    def regions(self) -> dict[str, str]:
        """Titles, by name; in the order of the topology where it is there."""
        found = dict.fromkeys(result.region for result in self.results if result.region)
        if self.shutdown is None:
            return {name: name for name in found}
        known = self.shutdown.topology.regions
        return {name: known[name].title for name in known if name in found}

    @cached_property
    def served(self) -> dict[str, set[str]]:
        """The regions that were measured from each operator's lines."""
        found: dict[str, set[str]] = {}
        for result in self.results:
            if result.region:
                found.setdefault(result.operator, set()).add(result.region)
        return found

    def of(self, phase: str) -> Sequence[Result]:
        """The results of a phase."""
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
        """The share in some regions together, of a phase and column."""
        parts = [self.in_regions.get((phase, region, column), Share()) for region in regions]
        return Share(sum(part.measured for part in parts), sum(part.reached for part in parts))

    @cached_property
    def telephony(self) -> frozenset[str]:
        """The services that are calls and short messages, no Internet. None where the scenario is not there."""
        probes = self.shutdown.scenario.probes if self.shutdown is not None else {}
        telephone = {name for name, probe in probes.items() if probe.test in {"call", "sms"}}
        return frozenset(column_of(result) for result in self.results if result.target in telephone)

    @cached_property
    def blocked_by_name(self) -> frozenset[str]:
        """The services that hardly anybody reached in a phase whose orders all name what they block.

        In a phase in which everything is blocked too, they tell nothing of that. None where the scenario is not there.
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
        """How long nobody ordinary in a region reached a service; None where it was never measured there."""
        shares = [(span, self.in_regions.get((span.name, region, column))) for span in self.spans]
        measured = [(span, share) for span, share in shares if share is not None and share.fraction is not None]
        return sum(span.hours for span, share in measured if share.fraction == 0) if measured else None

    @cached_property
    def worst(self) -> int:
        """Which phase, by its place, the fewest services got through in; the first of those."""
        return max(range(len(self.spans)), key=lambda place: (self._loss(place), -place), default=0)

    def _loss(self, place: int) -> float:
        shares = [self.table[self.spans[place].name, column].fraction for column in self.services]
        measured = [share for share in shares if share is not None]
        return round(1 - sum(measured) / len(measured), 9) if measured else 0.0


def column_of(result: Result) -> str:
    """Under which heading a result stands."""
    return result.column or result.target


ORDER = (Outcome.OK, Outcome.THROTTLED, Outcome.BLOCKED, Outcome.DOWN, Outcome.ERROR, Outcome.UNKNOWN)
"""Outcomes as legends have them."""

SYMBOLS = {
    Outcome.OK: "✓",
    Outcome.THROTTLED: "~",
    Outcome.BLOCKED: "✕",
    Outcome.DOWN: "▽",
    Outcome.ERROR: "!",
    Outcome.UNKNOWN: "?",
}
"""What tells outcomes apart where colours don't."""

MEANINGS = {
    Outcome.OK: "got through",
    Outcome.THROTTLED: "got through, but slowly",
    Outcome.BLOCKED: "blocked",
    Outcome.DOWN: "down: not reached for a fault of the scenario, which is no block",
    Outcome.ERROR: "no verdict: the probe itself failed",
    Outcome.UNKNOWN: "no verdict: the testbed could not make it certain",
}
