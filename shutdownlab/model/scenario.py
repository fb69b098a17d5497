"""A shutdown as data: policies, a timeline of phases that start and stop them, probes, and expectations."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny

from shutdownlab.config.document import Record
from shutdownlab.config.scalars import Instant, Kbit, Seconds, Title, UtcOffset
from shutdownlab.model.cables import GATEWAY
from shutdownlab.model.economy import ShutdownCost
from shutdownlab.model.expectation import Expectation, Expectations, Outcome
from shutdownlab.model.faults import AUTHORITY, DeclaredFault
from shutdownlab.model.labels import Label, Name, Source
from shutdownlab.model.noise import Noise
from shutdownlab.model.obedience import Obedience, carried_out
from shutdownlab.model.observation import Observation
from shutdownlab.model.policy import Policy
from shutdownlab.model.probe import Family, Probe
from shutdownlab.model.repeats import Repeat
from shutdownlab.model.settings import Parameter
from shutdownlab.model.signal import SignalExpectation
from shutdownlab.model.stagger import Stagger
from shutdownlab.model.topology import Topology, Vantage, VantageId


class Mode(StrEnum):
    """Who carries out orders: the operators, each after its delay, or (`direct`) the authority on their switches."""

    OPERATORS = "operators"
    DIRECT = "direct"


def breakages(active: Mapping[str, Policy]) -> dict[str, DeclaredFault]:
    """Returns what policies break while they are in force, by policy name."""
    return {name: each for name, policy in active.items() if (each := policy.breakage) is not None}


class Phase(Record):
    """From `at` on, until the next phase: what is started and stopped, and what is expected."""

    phase: Name
    """Its name, as `--until`, `--at` and `during` take it. A phase that `repeats` makes (`night-3`) is listed here only
    to override its `at`, `title`, `expect`, `source` or `faults`."""
    at: Instant
    """When it begins; it lasts until the next one. Required, except for one that `repeats` makes."""
    title: Title
    """What happens, in a few words. Required, except for one that `repeats` makes."""
    start: tuple[str, ...] = ()
    """The policies that are in force from now on."""
    stop: tuple[str, ...] = ()
    """The policies that end now."""
    stagger: Stagger | None = None
    """Makes operators obey one after another: the phase becomes several, with its name and then `-2`, `-3` …
    appended."""
    obey: dict[str, Obedience] = {}
    """Operators that depart from their orders in this phase, by name: they ignore, spare, lag, or come back late. If
    the authority commands their switches itself (`command: direct`), operators have no say."""
    faults: tuple[str, ...] = ()
    """What is broken in this phase; it is repaired in the next one, unless that names it too. It breaks before the
    phase's orders are given: a controller that cannot receive them leaves its switches with the rules they have."""
    expect: Expectations = ()
    """The expectations, or names of lists under `expectations`. If several cover a measurement, the last one counts."""
    source: str = ""
    """The source that says it happened then."""


class Option(Record):
    """One version of what happened."""

    says: str
    """This version, in one sentence."""
    source: Source
    """The source of this version."""
    without: tuple[str, ...] = ()
    """The policies and faults that this version leaves out."""
    command: Mode | None = None
    """Who carries out orders in this version; left out: as the scenario says."""


class Account(Record):
    """A question on which the sources conflict; the user chooses with `--choose NAME=OPTION`."""

    question: str
    """What the sources disagree about."""
    default: str
    """The option that is followed unless the user chooses another."""
    options: dict[Name, Option]
    """The versions, by name."""


class LeftOut(Record):
    """A documented fact that the scenario does not include."""

    fact: str
    """The fact."""
    source: Source
    """The source of the fact."""
    why: str
    """Why it is not included."""


_FEW = Field(max_length=1_000)
"""Far more than anybody would wait for."""


class Scenario(Record):
    """A shutdown of a country's Internet."""

    format: Literal[1]
    """The version of this file format."""
    name: Name
    """Its name in commands, if it ships; run directories are named after it."""
    title: Title
    """The heading of its output."""
    extends: str = ""
    """The scenario that this one is based on: the name of one that ships, or the path of a file beside this one. This
    file's keys override it: mappings are merged key by key (null removes a key), lists are replaced as a whole."""
    include: tuple[str, ...] = ()
    """Files in this one's folder whose `policies`, `expectations` and `sources` are included."""
    summary: str = ""
    """A few sentences for readers of the file."""
    topology: str
    """The country: the name of one that ships, or the path of a file, relative to this one."""
    sources: dict[str, str] = {}
    """What the codes in `source` stand for. If there are any, a code in capitals that is missing here is an error."""
    apps: tuple[str, ...] = ()
    """Files of your own apps, relative to this one; the topology's apps are known too."""
    command: Mode = Mode.OPERATORS
    delays: dict[str, Seconds] = {}
    """How long operators take to carry out an order, in the scenario's time, by operator; for others, the topology says
    it (`obeys_after`)."""
    profile: str = "perfect"
    """The profile of DPI boxes: one that ships (`shutdownlab profiles`), or the path of your own, relative to this
    file."""
    profiles: dict[str, str] = {}
    """The profile of some operators' DPI boxes, by operator; for others, `profile`."""
    controller: str | None = None
    """The operators' controller app, if it is your own: the path of a Python file. Needs `--trust`."""
    controllers: dict[str, str] = {}
    """The controller app of some operators, by operator; for others, `controller`."""
    utc_offset: UtcOffset = 0
    """The country's offset from UTC, in quotes. The `hours` of rules are local time; times of phases carry their own
    zone."""
    throttled_below: Kbit = 512
    """A download that is slower counts as throttled."""
    left_out: Annotated[tuple[LeftOut, ...], _FEW] = ()
    """Facts that it does not include, and why: this program cannot express them, or nobody knows the details."""
    accounts: dict[Name, Account] = {}
    """Questions on which sources disagree, with the versions to choose from with `--choose NAME=OPTION`."""
    parameters: Annotated[dict[Label, Parameter], _FEW] = {}
    """What is meant to be varied, by name: `--set NAME=VALUE`. Any other value can be set by its path."""
    policies: Annotated[dict[Name, Policy], _FEW]
    """What an authority can order, by name; phases start and stop them."""
    faults: Annotated[dict[Name, DeclaredFault], _FEW] = {}
    """What can break, by name; phases name what is broken. Cells that this makes unreachable are `down`."""
    cost: ShutdownCost | None = None
    """The inputs to its cost, where they differ from the topology's or that has none; and published estimates of the
    cost."""
    probes: Annotated[dict[Label, SerializeAsAny[Probe]], _FEW]
    """What is measured from subscribers' lines, by name."""
    observations: Annotated[dict[Label, SerializeAsAny[Observation]], _FEW] = {}
    """What outsiders see of each operator, by name."""
    tools: Annotated[dict[Label, SerializeAsAny[Probe]], _FEW] = {}
    """Circumvention tools that `shutdownlab matrix` measures beside those it knows, by name: kinds of tools, with a
    port of their own for example, or any other kind of probe. Runs do not measure them. A tool without a `host` gets a
    server abroad."""
    expectations: Annotated[dict[Name, tuple[Expectation, ...]], _FEW] = {}
    """Lists of expectations that several phases share, by name."""
    signals: Annotated[tuple[SignalExpectation, ...], _FEW] = ()
    """What signals observed from abroad should show, and the facts that say so."""
    noise: Noise | None = None
    """The noise of signals; left out: none."""
    timeline: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=1_000)]
    """The phases, in the order of their times."""
    repeats: Annotated[dict[Name, Repeat], _FEW] = {}
    """What recurs: phases that the program makes and adds to the timeline, by their name: `night` makes `night-1`,
    `night-2` and so on."""
    ends: Instant
    """When the last phase ends."""

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.timeline if phase.phase == name)

    def end_of(self, phase: Phase) -> Instant:
        """Returns when a phase ends: when the next one begins."""
        later = self.timeline[self.timeline.index(phase) + 1 :]
        return later[0].at if later else self.ends

    def default_choices(self) -> dict[str, str]:
        return {name: account.default for name, account in self.accounts.items()}

    def active(self, phase_name: str, choices: Mapping[str, str]) -> dict[str, Policy]:
        """Returns the policies in force in a phase, by name, under a choice of accounts. Raises `KeyError` for an
        unknown phase."""
        active: dict[str, Policy] = {}
        left_out = self._without(choices)
        for phase in self.timeline:
            for name in phase.stop:
                active.pop(name, None)
            active |= {name: self.policies[name] for name in phase.start if name not in left_out}
            if phase.phase == phase_name:
                return active
        raise KeyError(phase_name)

    def _without(self, choices: Mapping[str, str]) -> frozenset[str]:
        """Returns the policies and faults that a choice of accounts leaves out."""
        chosen = (self.accounts[name].options[option] for name, option in choices.items())
        return frozenset(name for option in chosen for name in option.without)

    def broken(
        self, phase: Phase, choices: Mapping[str, str], active: Mapping[str, Policy] | None = None
    ) -> dict[str, DeclaredFault]:
        """Returns what is broken in a phase, by name, under a choice of accounts: faults, and what policies in force
        break.

        `active`: the policies in force, if they are not the phase's own.
        """
        left_out = self._without(choices)
        found = {name: self.faults[name] for name in phase.faults if name not in left_out}
        return found | breakages(self.active(phase.phase, choices) if active is None else active)

    def held(self, phase_name: str, choices: Mapping[str, str], owner: str) -> dict[str, Policy]:
        """Returns the policies for which an operator's switches, or the `gateway`'s, have rules in a phase, by name.

        They are those of the last phase in which their commander was alive and reachable: the authority, and if
        operators carry out orders, the operator's controller. One that comes back has received the authority's latest
        order.
        """
        if not self.faults:
            return self.carried_out(self.phase(phase_name), choices, owner, self.active(phase_name, choices))
        commander = self._commander(owner, choices)
        last = commanded = ""
        for phase in self.timeline:
            lone = self.lone_controllers(phase, choices)
            commanded = phase.phase if AUTHORITY not in lone else commanded
            last = commanded if commander not in lone else last
            if phase.phase == phase_name:
                break
        return self.carried_out(self.phase(last), choices, owner, self.active(last, choices)) if last else {}

    def carried_out(
        self,
        phase: Phase,
        choices: Mapping[str, str],
        owner: str,
        active: Mapping[str, Policy],
        imagined: Mapping[str, Policy] | None = None,
    ) -> dict[str, Policy]:
        """Returns what an operator, or the `gateway`, carries out of the policies in force in a phase whose orders it
        receives. `imagined`: policies that exist beside the scenario's."""
        if self.mode(choices) is Mode.DIRECT:
            return dict(active)
        left_out = self._without(choices)
        known = {name: policy for name, policy in self.policies.items() if name not in left_out}
        return dict(carried_out(phase, owner, active, {**known, **(imagined or {})}))

    def orders_reach(self, phase: Phase, choices: Mapping[str, str], owner: str) -> bool:
        """Returns whether a phase's orders reach the switches of an operator, or of the `gateway`."""
        return self.lone_controllers(phase, choices).isdisjoint({AUTHORITY, self._commander(owner, choices)})

    def _commander(self, owner: str, choices: Mapping[str, str]) -> str:
        """Returns the owner of the controller that an owner's switches obey."""
        return owner if self.mode(choices) is Mode.OPERATORS and owner != GATEWAY else AUTHORITY

    def lone_controllers(self, phase: Phase, choices: Mapping[str, str]) -> frozenset[str]:
        """Returns the controllers that are cut off in a phase: operators, and `authority`."""
        faults = self.broken(phase, choices, active={}).values()  # policies never break controllers
        return frozenset(name for fault in faults for name in fault.lone_controllers)

    def mode(self, choices: Mapping[str, str]) -> Mode:
        chosen = (self.accounts[name].options[option].command for name, option in choices.items())
        return next((mode for mode in chosen if mode is not None), self.command)

    @property
    def recurring(self) -> dict[str, str]:
        """Maps the names of made phases, without their numbers, to the repeats that make them."""
        return {each: name for name, repeat in self.repeats.items() for each in repeat.phases_of(name)}

    def repeat_of(self, phase_name: str) -> str:
        """Returns the repeat that made a phase, for an occurrence or for what follows it; "" for a written phase."""
        name, _, number = phase_name.rpartition("-")
        return self.recurring.get(name, "") if number.isdecimal() else ""

    def is_during(self, during: tuple[str, ...], phase_name: str) -> bool:
        """Returns whether something limited to the phases in `during` (empty: not limited) is made in a phase; `night`
        means all of its nights."""
        if not during or phase_name in during:
            return True
        base = phase_name.rpartition("-")[0]
        return base in during and bool(self.repeat_of(phase_name) or self._takes_turns(base, phase_name))

    def _takes_turns(self, name: str, phase_name: str) -> bool:
        """Returns whether a phase is one of those into which the phase `name` was split."""
        found = next((phase.stagger for phase in self.timeline if phase.phase == name), None)
        return found is not None and phase_name in found.names(name)

    def turn_after(self, phase_name: str, operator: str) -> str:
        """Returns the later phase in which it is an operator's turn to obey what this phase starts and stops, or ""."""
        for phase in self.timeline:
            if phase.stagger is not None and phase_name in (names := phase.stagger.names(phase.phase)):
                place = names.index(phase_name)
                waits = (n for n, turn in enumerate(phase.stagger.order) if n > place and operator in turn)
                return next((names[n] for n in waits), "")
        return ""

    def probes_of(self, phase_name: str, vantage: Vantage) -> dict[str, Probe]:
        """Returns the probes that a vantage point runs in a phase."""
        return {
            name: probe
            for name, probe in self.probes.items()
            if self.is_during(probe.during, phase_name) and probe.from_.covers(vantage)
        }

    def observations_of(self, phase_name: str, operator: str) -> dict[str, Observation]:
        """Returns the observations of an operator in a phase."""
        return {
            name: observation
            for name, observation in self.observations.items()
            if self.is_during(observation.during, phase_name)
            and (not observation.operators or operator in observation.operators)
        }

    @property
    def headings(self) -> tuple[str, ...]:
        """The column headings of tables, in order."""
        probes = [probe.column or name for name, probe in self.probes.items()]
        observations = [observation.column or name for name, observation in self.observations.items()]
        return tuple(dict.fromkeys((*probes, *observations)))

    @property
    def short_columns(self) -> dict[str, str]:
        """Short headings for narrow terminals, by heading; the first one given counts."""
        found: dict[str, str] = {}
        every: list[tuple[str, Probe | Observation]] = [*self.probes.items(), *self.observations.items()]
        for name, each in every:
            if each.short:
                found.setdefault(each.column or name, each.short)
        return found

    def expectations_of(self, phase: Phase, choices: Mapping[str, str]) -> Iterator[Expectation]:
        for item in phase.expect:
            for expectation in self.expectations[item] if isinstance(item, str) else (item,):
                if _is_chosen(expectation.given, choices):
                    yield expectation

    def signals_given(self, choices: Mapping[str, str]) -> tuple[SignalExpectation, ...]:
        """Returns the expectations of outsiders' signals under a choice of accounts."""
        return tuple(each for each in self.signals if _is_chosen(each.given, choices))

    def expected(self, phase: Phase, choices: Mapping[str, str], vantage: Vantage, probe: str) -> Expectation | None:
        """Returns the expectation that counts for a probe from a vantage point: the last one of the phase that covers
        it, or None."""
        found = (each for each in self.expectations_of(phase, choices) if each.covers(vantage, probe))
        return next(iter(deque(found, maxlen=1)), None)

    def expected_outside(
        self, phase: Phase, choices: Mapping[str, str], operator: str, observation: str
    ) -> Expectation | None:
        """Returns the expectation that counts for an observation of an operator: the last one of the phase that covers
        it, or None."""
        found = (each for each in self.expectations_of(phase, choices) if each.covers_outside(operator, observation))
        return next(iter(deque(found, maxlen=1)), None)

    def profile_of(self, operator: str) -> str:
        """Returns the profile of an operator's DPI box: a shipped one's name, or the path of the user's own file."""
        return self.profiles.get(operator, self.profile)

    def local_time(self, phase: Phase) -> float:
        """Returns when a phase begins, in local time: seconds since 1970 as the country's clocks show them."""
        return phase.at.timestamp() + self.utc_offset

    def delay_of(self, operator: str, topology: Topology, phase: Phase | None = None) -> float:
        """Returns the seconds of scenario time until `operator` has carried out an order, by default or in a phase."""
        how = phase.obey.get(operator) if phase is not None else None
        if how is not None and how.after is not None:
            return how.after
        return self.delays.get(operator, topology.operators[operator].obeys_after)


def _is_chosen(given: Mapping[str, str], choices: Mapping[str, str]) -> bool:
    return all(choices.get(name) == option for name, option in given.items())


def vantage_named(topology: Topology, text: str) -> Vantage | None:
    """Returns the vantage point `kcell/almaty/government`, or `kcell/almaty`: its ordinary group, or else its first
    one; None if there is none."""
    parts = text.split("/")
    found = [v for v in topology.vantages() if list(v.id)[: len(parts)] == parts]
    ordinary = [v for v in found if v.id.group == "ordinary"]
    return next(iter(ordinary + found), None) if 2 <= len(parts) <= 3 else None


__all__ = ["Account", "Expectation", "Family", "Mode", "Outcome", "Phase", "Probe", "Scenario", "VantageId"]
