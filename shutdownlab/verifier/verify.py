"""What a run of a scenario would find, in the shape of a run's results: `sl.verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from shutdownlab.library import Shutdown, load
from shutdownlab.model.lookup import choices_of, phase_named, refuse
from shutdownlab.model.scenario import Expectation, Outcome, Phase
from shutdownlab.protocol.probing import Measurement
from shutdownlab.results.cells import Cell, cells_of, expected_of, result_of
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import Begun, Event, Finished, Measured, PhaseBegun, PhaseMeasured
from shutdownlab.results.manifest import PhaseInfo
from shutdownlab.results.result import Result
from shutdownlab.results.table import Table, table_of
from shutdownlab.verifier.because import because
from shutdownlab.verifier.verdicts import CellVerdict, Verifier
from shutdownlab.verifier.warnings import Warned, warnings_of

EXIT_OK, EXIT_UNMET = 0, 1


@dataclass(frozen=True)
class Verified:
    """The results of a scenario as the model has them. Verdicts are held once a class; rows are made when asked for.

    phases: those that were asked about. strict: what cannot be decided counts as not as expected.
    """

    shutdown: Shutdown
    choices: Mapping[str, str]
    timeline: tuple[Phase, ...]
    strict: bool = False
    status: str = "verified"

    @cached_property
    def verifier(self) -> Verifier:
        """Whoever gives the verdicts."""
        return Verifier(self.shutdown, self.choices)

    @cached_property
    def _facts(self) -> dict[tuple[int, ...], dict[tuple[object, str], Expectation | None]]:
        """What is expected of whom by which probe, for phases that expect the same."""
        return {}

    @cached_property
    def results(self) -> list[Result]:
        """A `Result` for each cell, as `Run.results` has them; its failure says on what an `unknown` one hangs."""
        return list(self)

    def __iter__(self) -> Iterator[Result]:
        """The same, one after another."""
        for phase in self.timeline:
            for _, result in self.of_phase(phase):
                yield result

    def of_phase(self, phase: Phase) -> Iterator[tuple[Cell, Result]]:
        """The cells of a phase, and what each comes out as."""
        expectations = tuple(map(id, self.shutdown.scenario.expectations_of(phase, self.choices)))
        facts = self._facts.setdefault(expectations, {})
        for cell in cells_of(self.shutdown, phase):
            about = cell.vantage.id if cell.vantage else cell.operator, cell.target
            if about not in facts:
                facts[about] = expected_of(self.shutdown, self.choices, phase, cell)
            measurement = _as_measured(self.verifier.verdict(phase, cell))
            yield cell, result_of(self.shutdown, phase, cell, measurement, facts[about])

    @property
    def unmet(self) -> list[Result]:
        """The results that are not as expected; what cannot be decided is among them only where that is `strict`."""
        return [result for result in self.results if not result.met and (self.strict or result.outcome.is_measured)]

    @cached_property
    def warnings(self) -> list[Warned]:
        """What is odd about the policies, with the line: what changes nothing, and what falls without being named."""
        return warnings_of(self.verifier, self.timeline)

    def because(self, result: Result) -> str:
        """The lines of the scenario that make a result come out as it does; nothing where none does."""
        phase = next(phase for phase in self.timeline if phase.phase == result.phase)
        for cell in cells_of(self.shutdown, phase):
            where = str(cell.vantage.id) if cell.vantage else cell.operator
            if (where, cell.target, cell.family) == (result.vantage, result.target, result.family):
                return because(self.verifier, phase, cell)
        return ""

    @property
    def undecided(self) -> list[Result]:
        """The results that cannot be worked out."""
        return [result for result in self.results if result.outcome is Outcome.UNKNOWN]

    @property
    def exit_code(self) -> int:
        """0, or 1 where an expectation is not met."""
        return EXIT_UNMET if self.unmet else EXIT_OK

    @cached_property
    def table(self) -> Table:
        """Percent of subscribers who would get through, a row per phase."""
        scenario = self.shutdown.scenario
        return table_of(self.results, scenario.headings, scenario.short_columns)

    @property
    def phases(self) -> list[PhaseInfo]:
        """The phases that were asked about, in order."""
        return [PhaseInfo(phase=phase.phase, at=phase.at, title=phase.title) for phase in self.timeline]

    @property
    def manifest(self) -> dict[str, Any]:
        """What manifest.json of a run says, as far as it applies."""
        begun = self._begun("")
        return begun.model_dump(exclude={"event", "at", "machine"}) | {"status": self.status}

    def write(self, directory: Path) -> None:
        """Write a run directory that says it is `verified`; raises `BadInput` where there is a run already."""
        began = monotonic()
        try:
            with RunDirectory(directory) as record:
                for event in self._events(directory.name, began):
                    record(event)
        except FileExistsError:
            refuse("--out", f"{directory}, which holds the results of a run", "a new directory", "name another")

    def _events(self, name: str, began: float) -> Iterator[Event]:
        """What a run's directory is told."""
        yield self._begun(name)
        counts: Counter[str] = Counter()
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
                counts["expectations"] += result.expected is not None
            counts += of_phase
            yield PhaseMeasured(
                phase=phase.phase, cells=len(found), reached=of_phase["reached"], unmet=of_phase["unmet"],
                errors=of_phase["errors"], seconds=round(monotonic() - start, 3),
            )  # fmt: skip
            counts["cells"] += len(found)
        yield Finished(
            status="verified", exit_code=self.exit_code, seconds=round(monotonic() - began, 3), cells=counts["cells"],
            expectations=counts["expectations"], unmet=counts["unmet"], errors=counts["errors"],
        )  # fmt: skip

    def _begun(self, name: str) -> Begun:
        scenario = self.shutdown.scenario
        return Begun(
            version=version("shutdownlab"), run=name, scenario=scenario.name, title=scenario.title,
            topology=self.shutdown.topology.name,
            operators={name: operator.title for name, operator in self.shutdown.topology.operators.items()},
            phases=tuple(self.phases), columns=scenario.headings, short_columns=scenario.short_columns,
            sources=scenario.sources,
            choices=dict(self.choices), mode=scenario.mode(self.choices).value, profile=scenario.profile,
            profiles={operator: profile.name for operator, profile in self.shutdown.profiles.items()},
            source=self.shutdown.source, digest=self.shutdown.digest,
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.shutdown.scenario.name}: verified, {len(self.results):,} results\n{self.table}"


def _as_measured(verdict: CellVerdict) -> Measurement:
    unknown = verdict.outcome is Outcome.UNKNOWN
    return Measurement(verdict.outcome, verdict.text, certainty="unconfirmed" if unknown else "certain")


def verify(
    scenario: str | Path | Mapping[str, Any] | Shutdown,
    *,
    choose: Mapping[str, str] | None = None,
    at: str | None = None,
    strict: bool = False,
) -> Verified:
    """What a run of a scenario would find: an outcome, and a failure by its OONI name, for each cell.

    It needs no rights, no network and no Linux, and sends nothing. `choose`: where sources disagree, the version to
    follow; `at`: this phase alone. What it cannot decide, because it hangs on a race or on chance, is `unknown`, and
    counts as not as expected where it is to be `strict`. Raises `BadInput`.
    """
    shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario)
    loaded = shutdown.scenario
    choices = choices_of(loaded, choose or {}, "choose")
    timeline = loaded.timeline if at is None else (phase_named(loaded, at, "at"),)
    return Verified(shutdown, choices, timeline, strict)
