"""Walks a scenario's timeline in a running country: orders, probes, results. Reports everything as events."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Final

from shutdownlab.compiler.resolvers import operators_late
from shutdownlab.config.beside import from_home
from shutdownlab.country.assembly import build
from shutdownlab.country.breakage import BREAKAGES, in_one_line, lines_of
from shutdownlab.country.breaking import BeyondMending, Breaker
from shutdownlab.country.country import Country
from shutdownlab.country.examination import examine, examine_answering, settle, take_faults
from shutdownlab.country.plan import Plan
from shutdownlab.model.faults import OrderedBreakage
from shutdownlab.model.observatory import observed
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Outcome, Phase
from shutdownlab.protocol import messages
from shutdownlab.results.cells import cells_of
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.events import (
    Acknowledged,
    Begun,
    Broken,
    Built,
    Confirmed,
    Counted,
    Damaged,
    Event,
    Fault,
    Finished,
    Listener,
    Notice,
    Obeyed,
    Ordered,
    PhaseBegun,
    PhaseMeasured,
    Resumed,
    SelfChecked,
    Step,
    Voided,
    Waiting,
)
from shutdownlab.results.manifest import Emulation, Machine, PhaseInfo, Status
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.results.selection import to_leave
from shutdownlab.runner.boxes import Boxes
from shutdownlab.runner.breaks import MOST_ATTEMPTS, CountryLost, CountryWornOut, SelfCheckFailed
from shutdownlab.runner.clock import Clock
from shutdownlab.runner.machine import describe_machine
from shutdownlab.runner.measuring import Measuring, refuted_by, unconfirmed_of
from shutdownlab.runner.options import RunOptions
from shutdownlab.runner.outside import Outside
from shutdownlab.runner.rerouted import RoutesWatch
from shutdownlab.runner.rules_met import RulesMet
from shutdownlab.runner.sampled import Sampled
from shutdownlab.runner.story import Story
from shutdownlab.runner.tally import Tally

_VERSION: Final = version("shutdownlab")


def _unused(directory: Path) -> Path:
    """Returns the directory, or if an earlier country of the run has used it, the first free of `logs-2` and so on."""
    names = (directory.with_name(f"{directory.name}-{number}") for number in count(2))
    return next(path for path in chain([directory], names) if not path.exists())


@dataclass(slots=True)
class Walk:
    """One walk over a scenario's timeline. `heard`: the listeners to its events."""

    options: RunOptions
    heard: list[Listener]
    tally: Tally = field(default_factory=lambda: Tally())
    """Counts of the phases that have been measured."""
    faults: list[str] = field(default_factory=list)
    country: Country | None = None
    began: float = field(default_factory=time.monotonic)
    built_for: Phase | None = None
    """The phase for which this country was built, after an earlier one was lost."""
    spent: float = 0.0
    """Seconds that the phases measured in earlier countries took."""
    measuring: Measuring = field(init=False)
    sampled: Sampled = field(init=False)
    boxes: Boxes = field(default_factory=Boxes)
    breaker: Breaker | None = None
    routes: RoutesWatch | None = None
    rules_met: RulesMet | None = None
    """Counters of policies' rules; set if packets are recorded."""
    outside: Outside | None = None
    """The observation from abroad; set with `observe`."""

    def __post_init__(self) -> None:
        options = self.options
        self.measuring = Measuring(options.shutdown, options.choices, options.directory.name)
        share = None if options.changed_since else options.sample
        self.sampled = Sampled(options.shutdown, options.choices, options.phases, share, options.held)

    def emit(self, event: Event) -> None:
        """Reports an event to all listeners."""
        for listener in self.heard:
            listener(event)

    def hang_up(self) -> None:
        """Removes all listeners except the record."""
        self.heard = [listener for listener in self.heard if isinstance(listener, RunDirectory)]

    def hang_up_record(self) -> None:
        """Removes the record from the listeners, as it cannot be written."""
        self.heard = [listener for listener in self.heard if not isinstance(listener, RunDirectory)]

    def go(self) -> None:
        """Builds the country and measures every phase that is not measured yet; raises on any failure."""
        options, scenario = self.options, self.options.shutdown.scenario
        todo = list(options.phases)
        if options.resume:
            before = Run.open(options.directory)
            self.tally.add(before.results)
            self.sampled.keep(before.results)
            self.spent = sum(before.manifest.get("seconds", {}).get("phases", {}).values())
            self.faults += before.faults
            done = {result.phase for result in before.results}
            todo = [phase for phase in todo if phase.phase not in done]
            if not todo:
                return
            self.built_for = todo[0]
            self.emit(Resumed(phase=todo[0].phase))
            if options.given_up:
                self._give_up(todo.pop(0), options.given_up, 0.0)
        else:
            self.emit(self._begun())
        if options.changed_since:
            while todo and self.sampled.is_whole(todo[0], held := self.sampled.standing_for(todo[0])):
                self._hold(todo.pop(0), held, 0.0)
        if not todo:
            return
        country = self.country = build(self._plan(), lambda text: self.emit(Step(text=text)))
        self.breaker = Breaker(country, options.shutdown.network)
        self.routes = RoutesWatch(country)
        for change in self.routes.look(todo[0].phase):  # the routes before any order
            self.emit(change)
        if options.pcap:  # bringing counters up to date takes the flagship's switches 1.5 s per phase
            self.rules_met = RulesMet(options.shutdown.network)
        self.emit(Built(seconds=country.took, emulation=Emulation.model_validate(country.described())))
        if options.pcap:
            self.heard.append(Story(country.mark))
        if options.observe:
            self.emit(Step(text="setting up who watches from abroad"))
            self.outside = Outside(country, options.shutdown, options.choices, options.directory, options.seed)
            self.outside.set_up()
        start = time.monotonic()
        first = scenario.timeline[0]
        unpoliced = todo[0] is first and not first.faults and not scenario.active(first.phase, options.choices)
        checked = self._self_check(country, first, keep=unpoliced)
        clock, played = Clock(todo[0].at, options.real_time), 0
        for phase, following in zip(todo, [*todo[1:], None], strict=True):
            late = clock.wait_until(phase.at, partial(self._waiting, phase))
            held = self.sampled.standing_for(phase)
            looked_at = options.real_time or options.observe or (options.keep and not following)
            if self.sampled.is_whole(phase, held) and not looked_at:
                self._hold(phase, held, late)
                continue
            place = scenario.timeline.index(phase)
            self._catch_up(country, phase, scenario.timeline[played:place])
            played = place + 1
            if phase is not first or not unpoliced:  # otherwise the self-check is this phase's measurement
                start, checked = time.monotonic(), []
            found = self._transact(country, clock, phase, checked, held)
            self._end(country, phase, found, round(time.monotonic() - start, 3), late)
            if (broken := refuted_by(found)) and following:
                raise CountryLost(following, (f"{phase.phase}: {broken}",))
        if not options.keep:
            for message in country.finish():
                self._report_message(message)

    def _hold(self, phase: Phase, held: Mapping[str, Result], late: float) -> None:
        """Reports a phase of which all cells are held. Its orders are not given, as the next phase's contain them."""
        self._begin(phase)
        self._close(phase, list(self.measuring.hold(phase, held, self.emit).values()), 0.0, late)

    def _transact(
        self, country: Country, clock: Clock, phase: Phase, checked: list[Result], held: Mapping[str, Result]
    ) -> list[Result]:
        """Measures a phase in a country that is intact from the order to the last probe; repeats it if it was not.

        checked: the self-check's results, if they count as the first attempt. held: results that stand for cells which
        are not measured, by cell. Raises `CountryLost` if something cannot be repaired, or controls have failed twice
        and not yet in a country built anew for this phase. If no attempt had an intact country, all results are
        unknown.
        """
        found = checked
        for attempt in range(1, MOST_ATTEMPTS + 1):
            if not (attempt == 1 and checked):
                active = self.options.shutdown.scenario.active(phase.phase, self.options.choices)
                began = time.time()
                try:
                    country.begin_watch()
                    self._break(country, phase, anew=attempt == 1)
                    self._apply(country, clock, phase, active)
                    self.measuring.begin(country)
                    self._begin(phase)
                    found = self._measure(country, phase, active, self.emit, began, held)
                except BREAKAGES as broken:
                    raise CountryLost(phase, [*examine(country).found, *lines_of(broken)]) from broken
            examination = examine_answering(country)
            if examination.lost:
                raise CountryLost(phase, examination.found)
            unconfirmed = unconfirmed_of(found)
            if not examination.doubts:
                if attempt > 1 and refuted_by(found) and phase is not self.built_for:
                    raise CountryLost(phase, (unconfirmed,))  # what fails the controls lasts
                if not unconfirmed or attempt == MOST_ATTEMPTS:
                    return found
            self.void(phase, examination.doubts or (unconfirmed,))
            if attempt < MOST_ATTEMPTS and (lost := settle(country).lost):
                raise CountryLost(phase, lost)
        if self.outside is not None:
            self.outside.void(examination.doubts)
        return self.measuring.unknown(phase, examination.doubts, self.emit)

    def _measure(
        self,
        country: Country,
        phase: Phase,
        active: Mapping[str, Policy],
        tell: Listener,
        began: float,
        held: Mapping[str, Result],
    ) -> list[Result]:
        """Runs the phase's probes, and the instruments abroad meanwhile. `began`: the start by the wall clock."""
        ends = self.options.shutdown.scenario.end_of(phase)
        with self.outside.looking(phase, ends, began) if self.outside else nullcontext():
            return self.measuring.measure(country, phase, active, tell, held)

    def _break(self, country: Country, phase: Phase, *, anew: bool) -> None:
        """Applies the phase's faults; `anew`: also restarts what the phase wants restarted."""
        assert self.breaker is not None, "it comes with the country"
        faults = self.options.shutdown.scenario.broken(phase, self.options.choices)
        try:
            self.breaker.become(faults, anew=anew)
        except BeyondMending as error:
            self.emit(Notice(where=phase.phase, text=f"{error}: the country is built anew"))
            raise CountryWornOut from error
        unordered = {name: each.title for name, each in faults.items() if not isinstance(each, OrderedBreakage)}
        if unordered and anew:
            self.emit(Damaged(phase=phase.phase, faults=unordered))

    def _catch_up(self, country: Country, phase: Phase, left_out: Iterable[Phase]) -> None:
        """Gives the orders of skipped phases if a controller is cut off in this one: it keeps the last rules it got."""
        scenario, choices = self.options.shutdown.scenario, self.options.choices
        if not scenario.lone_controllers(phase, choices):
            return
        assert self.breaker is not None, "it comes with the country"
        for earlier in left_out:
            faults = scenario.broken(earlier, choices, active={})
            self.breaker.become({name: fault for name, fault in faults.items() if fault.lone_controllers})
            active = scenario.active(earlier.phase, choices)
            country.authority.order(earlier.phase, active, scenario.mode(choices), damage=country.damage)

    def void(self, phase: Phase, reasons: Sequence[str], *, anew: bool = False) -> None:
        """Reports that a phase's measurements are invalid. anew: they are repeated in another country."""
        self.faults += [f"{phase.phase}: {reason}" for reason in reasons]
        self.emit(Voided(phase=phase.phase, reasons=tuple(reasons), anew=anew))

    def _give_up(self, phase: Phase, reasons: Sequence[str], seconds: float) -> None:
        """Reports a phase after its last failed attempt: its results are unknown."""
        self._begin(phase)
        self._close(phase, self.measuring.unknown(phase, reasons, self.emit), seconds, 0.0)

    def _waiting(self, phase: Phase, seconds: float) -> None:
        self.emit(Waiting(phase=phase.phase, seconds=seconds))

    def _begun(self) -> Begun:
        options, shutdown = self.options, self.options.shutdown
        scenario = shutdown.scenario
        return Begun(
            version=_VERSION, run=options.directory.name, scenario=scenario.name, title=scenario.title,
            topology=shutdown.topology.name,
            operators={name: operator.title for name, operator in shutdown.topology.operators.items()},
            phases=tuple(PhaseInfo(phase=phase.phase, at=phase.at, title=phase.title) for phase in options.phases),
            columns=scenario.headings, short_columns=scenario.short_columns, sources=scenario.sources,
            choices=dict(options.choices),
            mode=scenario.mode(options.choices).value, profile=scenario.profile,
            profiles={operator: profile.name for operator, profile in shutdown.profiles.items()},
            source=shutdown.source, digest=shutdown.digest, files=shutdown.files, until=options.until,
            datapath=options.datapath,
            openflow="ryu" if options.ryu else "os-ken", ryu_python=from_home(options.ryu.path) if options.ryu else "",
            seed=options.seed, real_time=options.real_time, pcap=options.pcap, keys=options.keys,
            observe=options.observe, sample=options.sample, changed_since=options.changed_since,
            settings=dict(shutdown.settings),
            machine=Machine.model_validate(describe_machine()),
        )  # fmt: skip

    def _plan(self) -> Plan:
        options, shutdown = self.options, self.options.shutdown
        return Plan(
            observed(shutdown.network) if options.observe else shutdown.network, shutdown.apps, shutdown.profiles,
            _unused(options.directory / "logs"), shutdown.controllers, seed=options.seed,
            pcap=_unused(options.directory / "pcap") if options.pcap else None, keys=options.keys,
            datapath=options.datapath, ryu=options.ryu,
            degrades=any(policy.degrade for policy in shutdown.scenario.policies.values()),
            late=operators_late(shutdown.network, shutdown.scenario.policies.values()),
        )  # fmt: skip

    def _self_check(self, country: Country, first: Phase, *, keep: bool) -> list[Result]:
        """Checks that everything works with no policy in force; returns the results. Raises `SelfCheckFailed`.

        keep: nothing is in force in the first phase, so that this is its measurement.
        """
        self.emit(Step(text="checking that everything works while nothing is blocked"))
        options = self.options
        left = to_leave(options.shutdown, options.held, options.phases, first) if options.changed_since else {}
        for _ in range(MOST_ATTEMPTS):
            began = time.time()
            self.measuring.begin(country)
            if keep:
                self._begin(first)
                found = self._measure(country, first, {}, self.emit, began, left)
            else:
                found = self.measuring.measure(country, first, {}, lambda _: None, left)
            broken = tuple(each for each in found if each.outcome is not Outcome.OK and not each.held)
            if broken and (reasons := examine_answering(country).found):
                raise CountryLost(self.options.phases[0], reasons)
            if not any(result.outcome is Outcome.UNKNOWN for result in broken):
                break  # otherwise the machine is busy
        self.emit(SelfChecked(cells=len(found) - len(left), broken=broken))
        if broken:
            raise SelfCheckFailed
        return found

    def _apply(self, country: Country, clock: Clock, phase: Phase, active: Mapping[str, Policy]) -> None:
        """Gives the phase's orders and waits until all are confirmed; then flushes caches, as time has jumped."""
        shutdown = self.options.shutdown
        mode = shutdown.scenario.mode(self.options.choices)
        delays = {
            name: shutdown.scenario.delay_of(name, shutdown.topology, phase) for name in shutdown.topology.operators
        }
        self.emit(Ordered(phase=phase.phase, scenario_time=phase.at, mode=mode, policies=tuple(active)))
        wall = {name: clock.wall_seconds(seconds) for name, seconds in delays.items()}
        local_time = shutdown.scenario.local_time(phase)
        otherwise = {
            name: shutdown.scenario.carried_out(phase, self.options.choices, name, active) for name in phase.obey
        }
        confirmation = country.authority.order(
            phase.phase, active, mode, wall, local_time=local_time, damage=country.damage, otherwise=otherwise
        )
        for message in confirmation:
            self._report_message(message)
        assert self.breaker is not None, "it comes with the country"
        held = partial(shutdown.scenario.held, phase.phase, self.options.choices)
        self.breaker.carry_out(held, shutdown.apps)
        if self.rules_met is not None:
            self.rules_met.begin(country, held)
        self.emit(Confirmed(phase=phase.phase, seconds=confirmation.seconds))
        assert self.routes is not None, "it comes with the country"
        for change in self.routes.look(phase.phase):
            self.emit(change)
        country.jump()

    def _begin(self, phase: Phase) -> None:
        cells = sum(1 for _ in cells_of(self.options.shutdown, phase))
        self.emit(PhaseBegun(phase=phase.phase, time=phase.at, title=phase.title, cells=cells))

    def _end(self, country: Country, phase: Phase, found: list[Result], seconds: float, late: float) -> None:
        """Reports a measured phase, and the messages of controllers and boxes that came meanwhile."""
        counters: dict[str, messages.Counters] = {}
        while country.heard:
            message = country.heard.pop(0)
            if isinstance(message, messages.Counters):
                counters[message.where] = message
            else:
                self._report_message(message)
        met = tuple(self.rules_met.end(country, phase.phase)) if self.rules_met is not None else ()
        if self.outside is not None:
            self.outside.keep(phase, self.options.shutdown.scenario.end_of(phase), found, self.emit)
        self._close(phase, found, seconds, late)
        for box, report in counters.items():
            for happened in self.boxes.events_of(phase.phase, box, report.counters):
                self.emit(happened)
        for event in met:
            self.emit(event.model_copy(update={"at": datetime.now(UTC)}))  # read earlier, reported now

    def _close(self, phase: Phase, found: list[Result], seconds: float, late: float) -> None:
        """Counts a phase's results and reports that it is complete."""
        counts = Tally().add(found)
        self.sampled.keep(found)
        self.tally.add(found)
        self.emit(
            PhaseMeasured(
                phase=phase.phase, cells=counts.cells, reached=counts.reached, unmet=counts.unmet, seconds=seconds,
                late=round(late, 3), errors=counts.errors, held=counts.held,
            )
        )  # fmt: skip

    def broke(self, error: BaseException) -> None:
        """Reports why the run cannot continue, with all other faults of the country."""
        self.emit(Broken(error=type(error).__name__, text=str(error), lines=tuple(lines_of(error))))
        self._log("".join(traceback.format_exception(error)))
        for fault in take_faults(self.country) if self.country else ():
            if fault not in str(error):
                self._fault(fault)

    def finished(self, status: Status, code: int) -> Finished:
        """Returns the last event of the run."""
        return Finished(
            status=status, exit_code=code, seconds=round(self.spent + time.monotonic() - self.began, 3),
            cells=self.tally.cells,
            expectations=self.tally.expectations, unmet=self.tally.unmet, errors=self.tally.errors,
            faults=tuple(self.faults),
        )  # fmt: skip

    def _report_message(self, message: messages.Message) -> None:
        """Reports a message of a controller or box as an event."""
        match message:
            case messages.Ack():
                self.emit(
                    Acknowledged(
                        serial=message.serial,
                        switch=message.switch,
                        rules=message.standing.rules,
                        seconds=message.seconds,
                    )
                )
            case messages.Obeyed():
                self.emit(Obeyed(serial=message.serial, operator=message.operator))
            case messages.Counters():
                self.emit(Counted(phase="", where=message.where, counters=message.counters))
            case messages.Failure() if self.country and message.where in self.country.damage.leaderless:
                self.emit(Notice(where=message.where, text=message.text))  # the scenario intends this failure
            case messages.Failure():
                self._log(f"{message.where}: {message.text}\n")
                self._fault(f"{message.where}: {in_one_line(message.text)}")
            case messages.BoxJoined():
                self.emit(Notice(where=message.where, text=f"the DPI box {message.box} is connected"))
            case messages.Notice():
                self.emit(Notice(where=message.where, text=message.text))
            case _:
                pass

    def _log(self, text: str) -> None:
        """Keeps what is too long for an event, such as a traceback, in `logs/run.log`."""
        if any(isinstance(listener, RunDirectory) for listener in self.heard):
            logs = self.options.directory / "logs"
            with suppress(OSError):  # the disk itself may have failed
                logs.mkdir(exist_ok=True)
                with (logs / "run.log").open("a") as log:
                    log.write(text)

    def _fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)
            self.emit(Fault(text=text))
