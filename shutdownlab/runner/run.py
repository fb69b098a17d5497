"""Walks a scenario's timeline in the sandbox: orders, probes, results, verdict."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from shutdownlab import __version__
from shutdownlab.country.assembly import Country, Plan, build
from shutdownlab.library import Shutdown
from shutdownlab.measure.requests import request
from shutdownlab.model.network import node_name
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.network.datapath import Wish
from shutdownlab.observers.bgp import seen_from_abroad
from shutdownlab.protocol.messages import BoxJoined, Counters, Failure, Message, Notice
from shutdownlab.protocol.probing import Measurement, ProbeRequest
from shutdownlab.results import measurement as ooni
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.results.directory import Result, RunDirectory
from shutdownlab.runner.breakage import BREAKAGES, brief, lines_of
from shutdownlab.runner.clock import Clock
from shutdownlab.runner.machine import describe_machine
from shutdownlab.system.kernel import MachineCannot

EXIT_OK, EXIT_UNMET, EXIT_BROKEN = 0, 1, 3
Measured = dict[Cell, tuple[Outcome, str | None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line gave. `shown`: the run directory as the user wrote it."""

    shutdown: Shutdown
    choices: Mapping[str, str]
    directory: Path
    shown: str
    real_time: float | None = None
    until: str | None = None
    pcap: bool = False
    seed: int = 0
    datapath: Wish = "auto"

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases to run: all, or up to `until`."""
        timeline = self.shutdown.scenario.timeline
        names = [phase.phase for phase in timeline]
        return timeline[: names.index(self.until) + 1] if self.until else timeline


class SelfCheckFailed(Exception):
    """With no policy in force something did not work; measuring a shutdown would mean nothing."""

    def __init__(self, broken: Sequence[Result]) -> None:
        super().__init__(f"{len(broken)} of the country's services do not work without any policy")
        self.broken = tuple(broken)


def inside(payload: Mapping[str, Any], progress: Any) -> int:
    """The run, inside its sandbox, told to `progress`; returns the exit code."""
    settings = Settings(**payload)
    try:
        return _recorded(settings, progress)
    except OSError as error:  # the record itself cannot be written
        progress.broken(lines_of(error), 0, None)
        return EXIT_BROKEN


def _recorded(settings: Settings, progress: Any) -> int:
    """The run, however it ends written down in its directory; raises `OSError` where that cannot be written."""
    with RunDirectory(settings.directory) as directory:
        run = Run(settings, directory, progress)
        try:
            return run.go()
        except SelfCheckFailed as failed:
            run.status = "self-check failed"
            progress.self_check_failed(failed.broken, settings.shown)
            return EXIT_BROKEN
        except BREAKAGES as error:
            run.broke(error)
            return EXIT_BROKEN
        except KeyboardInterrupt:
            run.status = "interrupted"
            directory.event("interrupted")
            progress.interrupted(settings.shown)
            raise
        except MachineCannot as cannot:
            run.status = "machine cannot"
            directory.event("machine cannot", what=cannot.what, why=cannot.why)
            raise
        except BaseException as error:
            run.status = "crashed"
            directory.event("crashed", text=repr(error))
            raise
        finally:
            run.describe()


@dataclass(slots=True)
class Run:
    settings: Settings
    directory: RunDirectory
    progress: Any
    results: list[Result] = field(default_factory=list)
    durations: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    country: Country | None = None
    status: str = "started"
    began: float = field(default_factory=time.monotonic)

    def go(self) -> int:
        settings, shutdown = self.settings, self.settings.shutdown
        scenario = shutdown.scenario
        self.describe()
        self.progress.begin(shutdown.topology)
        country = self.country = build(self._plan(), self.progress.step)
        self.directory.event("built", seconds=country.took)
        self.progress.built(country.datapath)
        self.describe()
        start = time.monotonic()
        checked = self._self_check(country)
        clock = Clock(settings.phases[0].at, settings.real_time)
        for phase in settings.phases:
            late = clock.wait_until(phase.at, partial(self.progress.waiting, phase))
            active = scenario.active(phase.phase, settings.choices)
            if phase is scenario.timeline[0] and not active:
                measured = checked  # nothing is in force yet: the self-check was this phase's measurement
            else:
                start = time.monotonic()
                self._apply(country, clock, phase, active)
                measured = self._measure(country, phase)
            self._record(country, phase, measured, round(time.monotonic() - start, 3), late)
            self._count(country, phase)
        for message in country.finish():
            self._note(message)
        self.status = "finished"
        took = time.monotonic() - self.began
        self.progress.story(settings.phases, self.results, self.faults, settings.shown, took, settings.pcap)
        return EXIT_OK if all(result.met for result in self.results) and not self.faults else EXIT_UNMET

    def _plan(self) -> Plan:
        shutdown = self.settings.shutdown
        return Plan(
            shutdown.network, shutdown.apps, shutdown.profiles,
            self.settings.directory / "logs",
            seed=self.settings.seed, pcap=self.settings.directory / "pcap" if self.settings.pcap else None,
            datapath=self.settings.datapath,
        )  # fmt: skip

    def _self_check(self, country: Country) -> Measured:
        """Prove that with no policy everything works; raises `SelfCheckFailed`."""
        first = self.settings.shutdown.scenario.timeline[0]
        self.progress.step("checking that everything works while nothing is blocked")
        measured = self._measure(country, first)
        broken = [
            Result(cell, outcome, failure, None)
            for cell, (outcome, failure) in measured.items()
            if outcome is not Outcome.OK
        ]
        self.directory.event("self-check", cells=len(measured), broken=[result.cell.id for result in broken])
        if broken:
            raise SelfCheckFailed(broken)
        return measured

    def _apply(self, country: Country, clock: Clock, phase: Phase, active: Mapping[str, Policy]) -> None:
        """Give the phase's orders, wait until all have confirmed; then let resolvers forget: time has jumped."""
        shutdown = self.settings.shutdown
        mode = shutdown.scenario.mode(self.settings.choices)
        delays = {name: shutdown.scenario.delay_of(name, shutdown.topology) for name in shutdown.topology.operators}
        self.directory.event("order", phase=phase.phase, scenario_time=phase.at, mode=mode, policies=list(active))
        wall = {name: clock.wall_seconds(seconds) for name, seconds in delays.items()}
        local_time = shutdown.scenario.local_time(phase)
        for message in country.authority.order(phase.phase, active, mode, wall, local_time=local_time):
            self._note(message)
        self.directory.event("confirmed", phase=phase.phase)
        country.services.flush_dns()

    def _measure(self, country: Country, phase: Phase) -> Measured:
        """Run every probe of the phase from every vantage point at once."""
        shutdown = self.settings.shutdown
        cells = {cell.id: cell for cell in cells_of(shutdown, phase)}
        measured: dict[str, tuple[Outcome, str | None]] = {}
        todo: dict[str, list[ProbeRequest]] = defaultdict(list)
        abroad = seen_from_abroad(country.plan.network, country.services)
        for cell in cells.values():
            if shutdown.scenario.probes[cell.target].test == "routes":
                measured[cell.id] = abroad.outcome(cell.vantage.id.operator, cell.family)
            else:
                todo[node_name(cell.vantage.id)].append(request(shutdown, cell, str(country.trusted)))
        self.progress.measuring(phase, len(cells))
        hopeless = {cell.id for cell in cells.values() if self._likely_to_fail(phase, cell)}
        for _, asked, measurement in country.agents.run(todo, hopeless):
            measured[asked.id] = measurement.outcome, measurement.failure
            self.directory.measurement(self._ooni(cells[asked.id], phase, asked, measurement))
            self.progress.advance()
        return {cell: measured[cell.id] for cell in cells.values()}

    def _likely_to_fail(self, phase: Phase, cell: Cell) -> bool:
        expected = self.settings.shutdown.scenario.expected(phase, self.settings.choices, cell.vantage, cell.target)
        return expected is not None and expected.outcome is not Outcome.OK

    def _count(self, country: Country, phase: Phase) -> None:
        """What the DPI boxes have seen and done by the end of a phase: per rule, verdict and protocol."""
        for message in country.authority.counters():
            if isinstance(message, Counters):
                self.directory.event("counters", phase=phase.phase, where=message.where, counters=message.counters)
            else:
                self._note(message)

    def _ooni(self, cell: Cell, phase: Phase, asked: ProbeRequest, measurement: Measurement) -> dict[str, Any]:
        topology = self.settings.shutdown.topology
        operator = topology.operators[cell.vantage.id.operator]
        context = ooni.Context(
            asn=operator.asn,
            cc=topology.country,
            network_name=operator.title,
            run=self.settings.directory.name,
            began=phase.at,
            at=phase.at,
            software_version=__version__,
            annotations={
                "scenario": self.settings.shutdown.scenario.name,
                "phase": phase.phase,
                "region": cell.vantage.id.region,
                "subscriber": cell.vantage.id.group,
            },
        )
        return ooni.record(asked, measurement, context)

    def _record(self, country: Country, phase: Phase, measured: Measured, seconds: float, late: float) -> None:
        scenario, choices = self.settings.shutdown.scenario, self.settings.choices
        results = [
            Result(cell, outcome, failure, scenario.expected(phase, choices, cell.vantage, cell.target))
            for cell, (outcome, failure) in measured.items()
        ]
        self.directory.rows(phase, results)
        self.results += results
        self.durations[phase.phase] = seconds
        for fault in country.faults():
            self._fault(fault)
        while country.heard:
            self._note(country.heard.pop(0))
        self.directory.event("measured", phase=phase.phase, cells=len(results), seconds=seconds, late=round(late, 3))
        self.progress.measured(phase, results, seconds)

    def broke(self, error: BaseException) -> None:
        """The run cannot go on: record what broke and what else has died, and tell."""
        self.status = "broken"
        lines = lines_of(error)
        self.directory.event("broken", error=type(error).__name__, text=str(error))
        logs = self.settings.directory / "logs"
        logs.mkdir(exist_ok=True)
        (logs / "run.log").write_text("".join(traceback.format_exception(error)))
        for fault in self.country.faults() if self.country else ():
            if fault not in str(error):
                self._fault(fault)
        self.progress.broken(lines, len(self.results), self.settings.shown)

    def _note(self, message: Message) -> None:
        """What controllers say goes into the record; failures are also told at the end."""
        details = {name: getattr(message, name) for name in message.__slots__}
        self.directory.event(type(message).__name__.lower(), **details)
        if isinstance(message, Failure):
            self._fault(f"{message.where}: {brief(message.text)}")
        elif isinstance(message, Notice):
            self.progress.notice(f"{message.where}: {message.text}")
        elif isinstance(message, BoxJoined):
            self.progress.notice(f"{message.where}: the DPI box {message.box} is connected")

    def _fault(self, text: str) -> None:
        if text in self.faults:
            return
        self.faults.append(text)
        self.directory.event("fault", text=text)
        self.progress.notice(text)

    def describe(self) -> None:
        """Bring the manifest up to date."""
        shutdown = self.settings.shutdown
        self.directory.describe(
            shutdownlab=__version__,
            scenario=shutdown.scenario.name,
            topology=shutdown.topology.name,
            choices=dict(self.settings.choices),
            mode=shutdown.scenario.mode(self.settings.choices).value,
            profile=shutdown.scenario.profile,
            profiles={operator: profile.name for operator, profile in shutdown.profiles.items()},
            real_time=self.settings.real_time,
            seed=self.settings.seed,
            status=self.status,
            machine=describe_machine(),
            emulation=self.country.described() if self.country else None,
            seconds={"total": round(time.monotonic() - self.began, 3), "phases": self.durations},
            cells=len(self.results),
            unmet=sum(not result.met for result in self.results),
            faults=self.faults,
            updated=datetime.now(UTC).isoformat(timespec="seconds"),
        )
