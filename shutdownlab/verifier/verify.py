"""Predicts a run's results, in the same form as a run's: `sl.verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import choices_of, phase_named
from shutdownlab.model.scenario import Family, Outcome, Phase
from shutdownlab.model.topology import VantageId
from shutdownlab.protocol.probing import Measurement
from shutdownlab.results.cells import Cell, cells_of, result_of
from shutdownlab.results.exit_codes import EXIT_OK, EXIT_UNMET
from shutdownlab.results.place import usable
from shutdownlab.results.result import Result
from shutdownlab.results.signal_verdict import SignalVerdict
from shutdownlab.results.table import Share, Table, table_of
from shutdownlab.signals.calendar import calendar_of
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.signals.facts import families, judge, needed
from shutdownlab.verifier.groups import CellGroup, CellGroups
from shutdownlab.verifier.outside import Outside
from shutdownlab.verifier.sampling import Held, held_cells, share_of
from shutdownlab.verifier.verdicts import CellVerdict, Verifier

if TYPE_CHECKING:
    from shutdownlab.results.events import Begun, Event
    from shutdownlab.results.manifest import PhaseInfo
    from shutdownlab.verifier.warnings import Warned

Who: TypeAlias = tuple[VantageId | str, str, Family]
"""A cell of a phase: its vantage point, or the operator observed from outside; its target and family."""


@dataclass(frozen=True)
class Verified:
    """The predicted results of a scenario, stored once per group of cells that cannot differ.

    `results` has a row for every cell and is built when first read; everything else is computed without it.

    timeline: the verified phases.
    strict: whether undecided cells count as not as expected.
    sample: as of a run: the same rows are held.
    """

    shutdown: Shutdown
    choices: Mapping[str, str]
    timeline: tuple[Phase, ...]
    strict: bool = False
    sample: float | None = None
    status: str = "verified"

    @cached_property
    def verifier(self) -> Verifier:
        """Predicts the outcome of each cell."""
        return Verifier(self.shutdown, self.choices)

    @cached_property
    def _because(self) -> dict[tuple[str, str, str, object], str]:
        """What was found by `because`: the terminal, JUnit and SARIF ask again."""
        return {}

    @cached_property
    def _held(self) -> Held:
        return held_cells(self.shutdown, self.choices, self.timeline, share_of(self.sample, "sample"))

    @property
    def holds(self) -> bool:
        """Whether any results are held, which only a `sample` causes."""
        return bool(self._held)

    @cached_property
    def results(self) -> list[Result]:
        """A `Result` for each cell, as in `Run.results`; the failure of an `unknown` one says what it depends on."""
        return list(self)

    def __iter__(self) -> Iterator[Result]:
        """Yields the same results one by one."""
        for phase in self.timeline:
            for _, result in self.of_phase(phase):
                yield result

    def of_phase(self, phase: Phase) -> Iterator[tuple[Cell, Result]]:
        """Yields the cells of a phase with their results."""
        return self._rows_of(phase, self._grouping.of_phase(phase))

    @cached_property
    def _grouping(self) -> CellGroups:
        return CellGroups(self.verifier)

    @cached_property
    def groups(self) -> tuple[CellGroup, ...]:
        """All cells in groups that cannot differ, with their verdict and expectation."""
        return tuple(group for phase in self.timeline for group in self._grouping.of_phase(phase))

    @cached_property
    def cells(self) -> int:
        """The number of cells."""
        return sum(group.cells for group in self.groups)

    @cached_property
    def unmet(self) -> list[Result]:
        """The results that are not as expected, including undecided ones if `strict`."""
        return self._of(group for group in self.groups if not self._holds(group))

    def _holds(self, group: CellGroup) -> bool:
        return group.met or not (self.strict or group.is_decided)

    def _of(self, groups: Iterable[CellGroup]) -> list[Result]:
        """Returns the results of some groups, in the order of `results`."""
        of_phases: dict[str, list[CellGroup]] = {}
        for group in groups:
            of_phases.setdefault(group.phase.phase, []).append(group)
        pairs = ((phase, of_phases[phase.phase]) for phase in self.timeline if phase.phase in of_phases)
        return [result for phase, found in pairs for _, result in self._rows_of(phase, found)]

    def _rows_of(self, phase: Phase, groups: Iterable[CellGroup]) -> Iterator[tuple[Cell, Result]]:
        """Yields the cells and results of some groups of a phase, in the order of all its cells."""
        known: dict[Who, CellGroup] = {}
        for group in groups:
            for vantage in group.vantages or (None,):
                known[vantage.id if vantage else group.operator, group.target, group.family] = group
        for cell in cells_of(self.shutdown, phase):
            found = known.get((cell.vantage.id if cell.vantage else cell.operator, cell.target, cell.family))
            if found is not None:
                result = result_of(self.shutdown, phase, cell, _as_measured(found.verdict), found.expected)
                earlier = self._held.get(phase.phase, {}).get(cell.id)
                yield cell, result if earlier is None else result.model_copy(update={"phase": earlier}).held_in(result)

    @cached_property
    def signals(self) -> tuple[SignalVerdict, ...]:
        """The verdicts on expectations about outside signals; () unless all phases are verified."""
        scenario = self.shutdown.scenario
        expected = scenario.signals_given(self.choices)
        if not expected or self.timeline != scenario.timeline:
            return ()
        outside = Outside(self.shutdown, self.choices, self.verifier.equipment, families(expected))
        wanted = needed(expected, SIGNALS)
        readings = [reading for phase in self.timeline for reading in outside.of(phase, wanted)]
        phases = [(phase.phase, phase.at) for phase in self.timeline]
        calendar = calendar_of(phases, scenario.ends, scenario.utc_offset)
        return judge(expected, readings, calendar, scenario.noise)

    @property
    def unmet_signals(self) -> tuple[SignalVerdict, ...]:
        """The signals that are not as expected, including those that cannot be judged if `strict`."""
        return tuple(each for each in self.signals if not each.met and (self.strict or each.met is not None))

    @cached_property
    def warnings(self) -> list[Warned]:
        """Warnings about policies, with their lines, such as those without effect and collateral damage."""
        from shutdownlab.verifier.warnings import warnings_of

        return warnings_of(self.verifier, self.timeline)

    def because(self, result: Result) -> str:
        """Returns the scenario's lines that decide a result; "" if none does."""
        from shutdownlab.verifier.because import because

        place = (result.phase, result.vantage, result.target, result.family)
        if place not in self._because:
            phase = next(phase for phase in self.timeline if phase.phase == result.phase)
            found = (cell for cell in cells_of(self.shutdown, phase) if _is_of(cell, result))
            self._because[place] = next((because(self.verifier, phase, cell) for cell in found), "")
        return self._because[place]

    @cached_property
    def undecided(self) -> list[Result]:
        """The results that the model cannot decide."""
        return self._of(group for group in self.groups if group.verdict.outcome is Outcome.UNKNOWN)

    @property
    def exit_code(self) -> int:
        """The exit code: 0, or 1 if an expectation is not met."""
        unmet = any(not self._holds(group) for group in self.groups)
        return EXIT_UNMET if unmet or self.unmet_signals else EXIT_OK

    @cached_property
    def table(self) -> Table:
        """The table of the percentage of subscribers who would get through, a row per phase."""
        scenario, shares = self.shutdown.scenario, dict[tuple[str, str], Share]()
        if self.holds:
            return table_of(self.results, scenario.headings, scenario.short_columns, strict=self.strict)
        headings, phases = dict.fromkeys(scenario.headings), dict[str, datetime]()
        for group in self.groups:
            phases[group.phase.phase] = group.phase.at
            headings.setdefault(group.column)
            share = shares.setdefault((group.phase.phase, group.column), Share())
            share.add_alike(group.verdict.outcome, group.weight, group.cells, met=self._holds(group))
        return Table(tuple(phases.items()), tuple(headings), shares, scenario.short_columns)

    @property
    def phases(self) -> list[PhaseInfo]:
        """The verified phases, in order."""
        from shutdownlab.results.manifest import PhaseInfo

        return [PhaseInfo(phase=phase.phase, at=phase.at, title=phase.title) for phase in self.timeline]

    @property
    def manifest(self) -> dict[str, Any]:
        """The fields of a run's manifest.json, as far as they apply."""
        begun = self._begun("")
        return begun.model_dump(exclude={"event", "at", "machine"}) | {"status": self.status}

    def write(self, directory: Path, *, force: bool = False) -> None:
        """Writes a run directory with the status `verified`, with what outsiders would see of it.

        Raises `BadInput` if it cannot be written, or already has a run; `force`: deletes that run first.
        """
        from shutdownlab.results.directory import RunDirectory

        began = monotonic()
        with RunDirectory(usable(directory, force=force), status="verified") as record:
            for event in self._events(directory.name, began):
                record(event)

    def _events(self, name: str, began: float) -> Iterator[Event]:
        """Yields the events from which the run directory is written."""
        from shutdownlab.results.events import Finished, Measured, Observed, PhaseBegun, PhaseMeasured, SignalsJudged

        yield self._begun(name)
        counts: Counter[str] = Counter()
        outside = Outside(self.shutdown, self.choices, self.verifier.equipment)
        for phase in self.timeline:
            start = monotonic()
            found = list(self.of_phase(phase))
            yield PhaseBegun(phase=phase.phase, time=phase.at, title=phase.title, cells=len(found))
            of_phase: Counter[str] = Counter()
            for number, (_, result) in enumerate(found):
                yield Measured(number=number, result=result)
                of_phase["reached"] += result.outcome.got_through
                of_phase["unmet"] += not result.met
                of_phase["errors"] += not result.outcome.is_measured
                of_phase["held"] += bool(result.held)
                counts["expectations"] += result.expected is not None
            counts += of_phase
            yield Observed(phase=phase.phase, readings=tuple(outside.of(phase)))
            yield PhaseMeasured(
                phase=phase.phase, cells=len(found), reached=of_phase["reached"], unmet=of_phase["unmet"],
                errors=of_phase["errors"], held=of_phase["held"], seconds=round(monotonic() - start, 3),
            )  # fmt: skip
            counts["cells"] += len(found)
        if self.signals:
            yield SignalsJudged(signals=self.signals)
        yield Finished(
            status="verified", exit_code=self.exit_code, seconds=round(monotonic() - began, 3), cells=counts["cells"],
            expectations=counts["expectations"], unmet=counts["unmet"], errors=counts["errors"],
        )  # fmt: skip

    def _begun(self, name: str) -> Begun:
        from shutdownlab.results.events import Begun

        scenario = self.shutdown.scenario
        return Begun(
            version=version("shutdownlab"), run=name, scenario=scenario.name, title=scenario.title,
            topology=self.shutdown.topology.name,
            operators={name: operator.title for name, operator in self.shutdown.topology.operators.items()},
            phases=tuple(self.phases), columns=scenario.headings, short_columns=scenario.short_columns,
            sources=scenario.sources,
            choices=dict(self.choices), mode=scenario.mode(self.choices).value, profile=scenario.profile,
            profiles={operator: profile.name for operator, profile in self.shutdown.profiles.items()},
            source=self.shutdown.source, digest=self.shutdown.digest, files=self.shutdown.files,
            sample=self.sample,
            settings=dict(self.shutdown.settings),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Verified({self.shutdown.scenario.name}: {len(self.phases)} phases, {self.cells:,} results)"

    def __str__(self) -> str:
        return f"{self.shutdown.scenario.name}: verified, {self.cells:,} results\n{self.table}"


def _as_measured(verdict: CellVerdict) -> Measurement:
    unknown = verdict.outcome is Outcome.UNKNOWN
    return Measurement(verdict.outcome, verdict.text, certainty="unconfirmed" if unknown else "certain")


def verify(
    scenario: str | Path | Mapping[str, Any] | Shutdown,
    *,
    choose: Mapping[str, str] | None = None,
    at: str | None = None,
    strict: bool = False,
    sample: float | None = None,
) -> Verified:
    """Predicts what a run of a scenario would find: an outcome, and a failure by its OONI name, for each cell.

    Needs no privileges, no network and no Linux, and sends nothing. An outcome that depends on a race or on chance is
    `unknown`.

    choose: where sources disagree, the version to follow, by the question's name.
    at: verifies only this phase.
    strict: whether unknown outcomes count as not as expected.
    sample: as of a run, to mark the results that it would hold.

    Raises `BadInput`.
    """
    shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario)
    loaded = shutdown.scenario
    choices = choices_of(loaded, choose or {}, "choose")
    timeline = loaded.timeline if at is None else (phase_named(loaded, at, "at"),)
    share_of(sample, "sample")
    return Verified(shutdown, choices, timeline, strict, sample)


def _is_of(cell: Cell, result: Result) -> bool:
    where = str(cell.vantage.id) if cell.vantage else cell.operator
    return (where, cell.target, cell.family) == (result.vantage, result.target, result.family)
