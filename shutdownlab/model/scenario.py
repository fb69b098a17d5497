"""A shutdown as data: policies, a timeline of phases that start and stop them, probes, and what is expected."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from shutdownlab.config.document import BadInput, Document, Expected, Path, Record, did_you_mean, one_of, parse, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.config.scalars import Instant, Kbit, Seconds, UtcOffset
from shutdownlab.inspection.apps import App
from shutdownlab.model.observation import Observation
from shutdownlab.model.policy import Policy, Scope, Targets
from shutdownlab.model.probe import Family, Probe
from shutdownlab.model.rule_files import include_rules
from shutdownlab.model.tool import Tool
from shutdownlab.model.topology import Label, Name, Topology, Vantage, VantageId


class Outcome(StrEnum):
    """What became of a probe.

    `error`: the probe itself failed. `unknown`: the testbed did, or may have. Neither is a verdict on the network, and
    neither can be expected.
    """

    OK = "ok"
    BLOCKED = "blocked"
    THROTTLED = "throttled"
    ERROR = "error"
    UNKNOWN = "unknown"

    @property
    def is_measured(self) -> bool:
        """Whether it says anything about the network."""
        return self not in {Outcome.ERROR, Outcome.UNKNOWN}

    @property
    def got_through(self) -> bool:
        """Whether the service was reached, however slowly."""
        return self in {Outcome.OK, Outcome.THROTTLED}


class Mode(StrEnum):
    """Who carries orders out: the operators, each after its delay, or (`direct`) the authority on their switches."""

    OPERATORS = "operators"
    DIRECT = "direct"


def _expectation_or_name(value: object) -> object:
    if not isinstance(value, str | dict | Expectation):
        raise Expected("an expectation, or the name of some", "such as {outcome: blocked, source: seen}")
    return value


def _reach(value: object) -> object:
    if not isinstance(value, str | list | tuple):
        raise Expected("their names in a list, or `all`")
    return value if value == "all" else tuple(value) if isinstance(value, list) else (value,)


_EXPECTABLE = tuple(outcome.value for outcome in Outcome if outcome.is_measured)


def _expectable(value: object) -> object:
    if value not in _EXPECTABLE:
        raise Expected(one_of(_EXPECTABLE), lambda: did_you_mean(str(value), _EXPECTABLE))
    return value


_Reach = Annotated[
    tuple[str, ...] | Literal["all"] | None,
    BeforeValidator(_reach, json_schema_input_type=tuple[str, ...] | str),
]


class Expectation(Record):
    """Which outcome the cells of a phase should have, and the fact that says so.

    A cell is a probe from a vantage point, or an observation of an operator. Where neither `probes` nor `observations`
    are given, all are meant; where one of them is, only those. What is seen from outside is an operator's as a whole:
    it is covered where `who` tells no subscribers of one operator apart.
    Within a phase the last expectation that covers a cell counts. Tools (`shutdownlab matrix`) have expectations of
    their own, by `tools`.
    """

    who: Scope = Scope()
    """The subscribers it is about; left out: all."""
    probes: _Reach = None
    """The names of probes that it is about, or `all`."""
    observations: _Reach = None
    """The names of observations that it is about, or `all`."""
    tools: _Reach = None
    """The names of tools that it is about, or `all`: what `shutdownlab matrix` should find. It is about nothing else
    then."""
    outcome: Annotated[
        Outcome, BeforeValidator(_expectable, json_schema_input_type=Literal["ok", "blocked", "throttled"])
    ]
    """What should be seen."""
    source: str
    """Who says so."""
    given: dict[str, str] = {}
    """Counts only where the user has chosen so: options by account (see `accounts`)."""

    @property
    def everything(self) -> bool:
        return self.probes is None and self.observations is None and self.tools is None

    def covers(self, vantage: Vantage, probe: str) -> bool:
        """Whether it is about a probe from a vantage point."""
        return (self.everything or _reaches(self.probes, probe)) and self.who.covers(vantage)

    def covers_outside(self, operator: str, observation: str) -> bool:
        """Whether it is about an observation of an operator."""
        return (self.everything or _reaches(self.observations, observation)) and self.who.covers_operator(operator)


def _reaches(reach: tuple[str, ...] | str | None, name: str) -> bool:
    return reach is not None and (reach == "all" or name in reach)


class Phase(Record):
    """From `at` on, until the next phase: what is started and stopped, and what is expected then."""

    phase: Name
    """Its name: `--until`, `--at` and `during` take it."""
    at: Instant
    """When it begins; it lasts until the next one."""
    title: str
    """What happens, in a few words."""
    start: tuple[str, ...] = ()
    """The policies that are in force from now on."""
    stop: tuple[str, ...] = ()
    """The policies that end now."""
    expect: tuple[Annotated[str | Expectation, BeforeValidator(_expectation_or_name)], ...] = ()
    """What should be seen: expectations, and names of some under `expectations`. Of those that cover a measurement the
    last one counts."""
    source: str = ""
    """Who says that it happened then."""


class Option(Record):
    """One version of what happened."""

    says: str
    """This version, in one sentence."""
    source: str
    """Who says so."""
    without: tuple[str, ...] = ()
    """The policies that are left out under it."""
    command: Mode | None = None
    """Left out: as the scenario says."""


class Account(Record):
    """A question on which the sources conflict; the user chooses with `--choose NAME=OPTION`."""

    question: str
    """What the sources disagree about."""
    default: str
    """The option that is followed unless the user chooses another."""
    options: dict[Name, Option]
    """The versions, by name."""


_FEW = Field(max_length=1_000)
"""Far more than anybody can wait for."""


class Scenario(Record):
    """A shutdown of a country's Internet."""

    format: Literal[1]
    """The version of this file format."""
    name: Name
    """What commands call it, where it ships; run directories are named after it."""
    title: str
    """The heading of its output."""
    summary: str = ""
    """A few sentences for those who read the file."""
    topology: str
    """The country: the name of one that ships, or the path of a file, relative to this one."""
    sources: dict[str, str] = {}
    """What the codes in `source` stand for. Where there are any, a code in capitals that is missing here is a
    mistake."""
    apps: tuple[str, ...] = ()
    """Files of apps of your own, relative to this one; the topology's are known too."""
    command: Mode = Mode.OPERATORS
    delays: dict[str, Seconds] = {}
    """How long operators take to carry out an order, in the scenario's time, by operator; the others as the topology
    says (`obeys_after`)."""
    profile: str = "perfect"
    """What DPI boxes work by: a profile that ships (`shutdownlab profiles`), or the path of an own one's file, relative
    to this one."""
    profiles: dict[str, str] = {}
    """The same for the DPI boxes of some operators; the others' is `profile`."""
    controller: str | None = None
    """The operators' controller app, where it is one of your own: the path of a Python file. Needs `--trust`."""
    controllers: dict[str, str] = {}
    """The same for some operators; the others' is `controller`."""
    utc_offset: UtcOffset = 0
    """What clocks in the country show, as an offset from UTC, in quotes. The `hours` of rules are local time; times of
    phases carry their own zone."""
    throttled_below: Kbit = 512
    """A download that is slower counts as throttled."""
    accounts: dict[Name, Account] = {}
    """Where sources disagree: the questions, and the versions to choose from with `--choose NAME=OPTION`."""
    policies: Annotated[dict[Name, Policy], _FEW]
    """What an authority can order, by name; phases start and stop them."""
    probes: Annotated[dict[Label, SerializeAsAny[Probe]], _FEW]
    """What is measured from subscribers' lines, by name."""
    observations: Annotated[dict[Label, SerializeAsAny[Observation]], _FEW] = {}
    """What the world outside sees of each operator, by name."""
    tools: Annotated[dict[Label, SerializeAsAny[Probe]], _FEW] = {}
    """Circumvention tools that `shutdownlab matrix` measures beside those it knows, by name: kinds of tools, with a
    port of their own for example, or any other kind of probe. No run measures them. A tool without a `host` gets a
    server abroad."""
    expectations: Annotated[dict[Name, tuple[Expectation, ...]], _FEW] = {}
    """Lists of expectations that several phases share, by name."""
    timeline: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=1_000)]
    """The phases, in the order of their times."""
    ends: Instant
    """When the last phase ends."""

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.timeline if phase.phase == name)

    def default_choices(self) -> dict[str, str]:
        return {name: account.default for name, account in self.accounts.items()}

    def active(self, phase_name: str, choices: Mapping[str, str]) -> dict[str, Policy]:
        """The policies in force in a phase, by name, under a choice of accounts."""
        active: dict[str, Policy] = {}
        left_out = {
            policy for name, option in choices.items() for policy in self.accounts[name].options[option].without
        }
        for phase in self.timeline:
            for name in phase.stop:
                active.pop(name, None)
            active |= {name: self.policies[name] for name in phase.start if name not in left_out}
            if phase.phase == phase_name:
                return active
        raise KeyError(phase_name)

    def mode(self, choices: Mapping[str, str]) -> Mode:
        chosen = (self.accounts[name].options[option].command for name, option in choices.items())
        return next((mode for mode in chosen if mode is not None), self.command)

    def probes_of(self, phase_name: str, vantage: Vantage) -> dict[str, Probe]:
        """The probes that a vantage point runs in a phase."""
        return {
            name: probe
            for name, probe in self.probes.items()
            if (not probe.during or phase_name in probe.during) and probe.from_.covers(vantage)
        }

    def observations_of(self, phase_name: str, operator: str) -> dict[str, Observation]:
        """What is observed of an operator in a phase."""
        return {
            name: observation
            for name, observation in self.observations.items()
            if (not observation.during or phase_name in observation.during)
            and (not observation.operators or operator in observation.operators)
        }

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns of tables, in order."""
        probes = [probe.column or name for name, probe in self.probes.items()]
        observations = [observation.column or name for name, observation in self.observations.items()]
        return tuple(dict.fromkeys((*probes, *observations)))

    def expectations_of(self, phase: Phase, choices: Mapping[str, str]) -> Iterator[Expectation]:
        for item in phase.expect:
            for expectation in self.expectations[item] if isinstance(item, str) else (item,):
                if all(choices.get(name) == option for name, option in expectation.given.items()):
                    yield expectation

    def expected(self, phase: Phase, choices: Mapping[str, str], vantage: Vantage, probe: str) -> Expectation | None:
        """The expectation that counts for a probe from a vantage point: the last one of the phase that covers it."""
        found = (each for each in self.expectations_of(phase, choices) if each.covers(vantage, probe))
        return next(iter(deque(found, maxlen=1)), None)

    def expected_outside(
        self, phase: Phase, choices: Mapping[str, str], operator: str, observation: str
    ) -> Expectation | None:
        """The expectation that counts for an observation of an operator: the last one of the phase that covers it."""
        found = (each for each in self.expectations_of(phase, choices) if each.covers_outside(operator, observation))
        return next(iter(deque(found, maxlen=1)), None)

    def profile_of(self, operator: str) -> str:
        """What the operator's DPI box works by: a profile that ships, or the path of an own one's file."""
        return self.profiles.get(operator, self.profile)

    def local_time(self, phase: Phase) -> float:
        """When it begins, as seconds since 1970 of the clocks in the country."""
        return phase.at.timestamp() + self.utc_offset

    def delay_of(self, operator: str, topology: Topology) -> float:
        """Seconds of scenario time until `operator` has carried out an order."""
        return self.delays.get(operator, topology.operators[operator].obeys_after)


def load_scenario(document: Document, topology: Topology, apps: Mapping[str, App]) -> Scenario:
    """Check a parsed scenario file against its topology; raises `BadInput` with all its problems."""
    include_rules(document, apps)
    scenario = document.validate_as(Scenario, go_on=True)
    _Checker(scenario, topology, apps, document).check()
    document.raise_if_bad()
    return scenario


def report_structure(document: Document) -> None:
    """Report what is wrong with a scenario's file whatever its topology is: of use where that cannot be read."""
    policies = document.data.get("policies")
    for policy in policies.values() if isinstance(policies, dict) else ():
        if isinstance(policy, dict) and "inspect" in policy:
            policy["inspect"] = []  # rules name apps, which the topology may bring along
    with suppress(BadInput):  # reported
        document.validate_as(Scenario)


def parse_scenario(text: bytes | Mapping[str, Any], file: str) -> tuple[Document, str | Mapping[str, Any]]:
    """A scenario file's document, and the topology it names (or, made by a program, contains); raises `BadInput`."""
    document = parse(text, file)
    if is_another(document, "scenario"):
        document.raise_if_bad()
    name = document.data.get("topology")
    if isinstance(text, Mapping) and isinstance(name, dict):
        document.data["topology"] = str(name.get("name", "topology"))
        return document, name
    if not isinstance(name, str):
        document.report(
            (), "no 'topology'", "the name or path of a topology", "`shutdownlab list` names those it ships"
        )
        document.raise_if_bad()
    return document, str(name)


class _Checker:
    """What no single field shows: names that must exist, times that must ascend, cells that must be probed."""

    def __init__(self, scenario: Scenario, topology: Topology, apps: Mapping[str, App], document: Document) -> None:
        self.scenario, self.topology, self.apps, self.document = scenario, topology, apps, document
        self.vantages = tuple(topology.vantages())
        self.phases = [phase.phase for phase in scenario.timeline]
        self.misdirected: set[str] = set()
        self.selected: dict[Scope, tuple[Vantage, ...]] = {}
        self.used: dict[str, list[str]] = defaultdict(list)
        """The phases that expect what has a name."""
        for phase in scenario.timeline:
            for expected in dict.fromkeys(item for item in phase.expect if isinstance(item, str)):
                self.used[expected].append(phase.phase)

    def check(self) -> None:
        self._accounts()
        for name, policy in self.scenario.policies.items():
            self._policy(name, policy)
        self._names(("delays",), "operator", self.scenario.delays, self.topology.operators)
        for name, probe in self.scenario.probes.items():
            self._probe(name, probe)
        for name, tool in self.scenario.tools.items():
            self._tool(name, tool)
        for name, observation in self.scenario.observations.items():
            self._observation(name, observation)
        self._timeline()
        for name, expectations in self.scenario.expectations.items():
            for index, expectation in enumerate(expectations):
                self._expectation(("expectations", name, index), expectation, self.used.get(name, []))

    def _names(self, path: Path, kind: str, given: object, known: object) -> None:
        """`given`: a tuple (its indexes extend the path) or a mapping (its keys do)."""
        for index, name in enumerate(given):  # type: ignore[arg-type,var-annotated]
            if name not in known:  # type: ignore[operator]
                place = name if isinstance(given, dict) else index
                self.document.report_unknown((*path, place), kind, name, known)  # type: ignore[arg-type]

    def _sources(self, path: Path, text: str) -> None:
        for code in text.replace(",", " ").split():
            if self.scenario.sources and code.isupper() and code.isalnum() and code not in self.scenario.sources:
                self.document.report_unknown(path, "source", code, self.scenario.sources, "add it under `sources:`")

    def _scope(self, path: Path, scope: Scope) -> None:
        before = len(self.document.problems)
        self._names((*path, "operators"), "operator", scope.operators, self.topology.operators)
        self._names((*path, "regions"), "region", scope.regions, self.topology.regions)
        self._names((*path, "groups"), "subscriber group", scope.groups, {v.id.group for v in self.vantages})
        if len(self.document.problems) == before and not self._select(scope):
            hint = f"the topology {quoted(self.topology.name)} says which operator has which subscribers where"
            self.document.report(path, "a scope that selects nobody", "at least one subscriber group", hint)

    def _select(self, scope: Scope) -> tuple[Vantage, ...]:
        if scope not in self.selected:
            self.selected[scope] = scope.select(self.vantages)
        return self.selected[scope]

    def _targets(self, path: Path, targets: Targets) -> None:
        self._names((*path, "apps"), "app", targets.apps, self.apps)

    def _policy(self, name: str, policy: Policy) -> None:
        path: Path = ("policies", name)
        self._scope((*path, "where"), policy.where)
        self._targets((*path, "block" if policy.block else "only"), policy.targets)
        self._names((*path, "except", "apps"), "app", policy.except_.apps, self.apps)
        self._names((*path, "except", "operators"), "operator", policy.except_.operators, self.topology.operators)
        self._names((*path, "except", "regions"), "region", policy.except_.regions, self.topology.regions)
        self._sources((*path, "source"), policy.source)

    def _accounts(self) -> None:
        for name, account in self.scenario.accounts.items():
            path: Path = ("accounts", name)
            if account.default not in account.options:
                self.document.report_unknown((*path, "default"), "option", account.default, account.options)
            for key, option in account.options.items():
                self._names((*path, "options", key, "without"), "policy", option.without, self.scenario.policies)
                self._sources((*path, "options", key, "source"), option.source)

    def _probe(self, name: str, probe: Probe) -> None:
        path: Path = ("probes", name)
        for mistake in probe.mistakes(self.topology, self.apps):
            self.document.report((*path, *mistake.path), mistake.found, mistake.expected, mistake.hint)
        before = len(self.document.problems)
        self._scope((*path, "from"), probe.from_)
        self._names((*path, "during"), "phase", probe.during, self.phases)
        if len(self.document.problems) > before:
            self.misdirected.add(name)

    def _tool(self, name: str, tool: Probe) -> None:
        path: Path = ("tools", name)
        for kind, given in (("probe", self.scenario.probes), ("observation", self.scenario.observations)):
            if name in given:
                self.document.report(path, f"{quoted(name)}, which {kind}s have too", "a name of its own")
        mistakes = () if isinstance(tool, Tool) else tool.mistakes(self.topology, self.apps)
        for mistake in mistakes:
            self.document.report((*path, *mistake.path), mistake.found, mistake.expected, mistake.hint)
        self._scope((*path, "from"), tool.from_)
        self._names((*path, "during"), "phase", tool.during, self.phases)

    def _observation(self, name: str, observation: Observation) -> None:
        path: Path = ("observations", name)
        if name in self.scenario.probes:
            first = f"first: line {self.document.line(('probes', name))}"
            self.document.report(path, f"{quoted(name)}, which a probe is called", "a name of its own", first)
        self._names((*path, "operators"), "operator", observation.operators, self.topology.operators)
        self._names((*path, "during"), "phase", observation.during, self.phases)

    def _timeline(self) -> None:
        scenario, active = self.scenario, set[str]()
        first: dict[str, int] = {}
        for index, phase in enumerate(scenario.timeline):
            path: Path = ("timeline", index)
            if phase.phase in first:
                found = f"the phase {quoted(phase.phase)} again"
                hint = f"first: line {self.document.line(('timeline', first[phase.phase], 'phase'))}"
                self.document.report((*path, "phase"), found, "a name of its own", hint)
            first.setdefault(phase.phase, index)
            before = scenario.timeline[index - 1].at if index else phase.at - timedelta(seconds=1)
            if phase.at <= before:
                found = f"{phase.at:%Y-%m-%dT%H:%MZ}, out of order"
                hint = "phases stand in the order of their times"
                self.document.report((*path, "at"), found, f"a time after {before:%Y-%m-%dT%H:%MZ}", hint)
            if phase.at >= scenario.ends:
                found = f"{phase.at:%Y-%m-%dT%H:%MZ}, outside the scenario"
                self.document.report((*path, "at"), found, f"a time before its end, {scenario.ends:%Y-%m-%dT%H:%MZ}")
            self._names((*path, "start"), "policy", phase.start, scenario.policies)
            self._names((*path, "stop"), "policy", phase.stop, scenario.policies)
            for place, name in enumerate(phase.stop):
                if name in scenario.policies and name not in active:
                    found = f"{quoted(name)}, which is not in force"
                    self.document.report((*path, "stop", place), found, "a policy started before")
            active = (active - set(phase.stop)) | set(phase.start)
            for place, item in enumerate(phase.expect):
                if not isinstance(item, str):
                    self._expectation((*path, "expect", place), item, [phase.phase])
                elif item not in scenario.expectations:
                    self.document.report_unknown((*path, "expect", place), "expectations", item, scenario.expectations)
            self._sources((*path, "source"), phase.source)

    def _expectation(self, path: Path, expectation: Expectation, phases: list[str]) -> None:
        before = len(self.document.problems)
        self._scope((*path, "who"), expectation.who)
        self._sources((*path, "source"), expectation.source)
        for key, kind in (("probes", "probe"), ("observations", "observation"), ("tools", "tool")):
            self._names((*path, key), kind, _named(getattr(expectation, key)), getattr(self.scenario, key))
        for name, option in expectation.given.items():
            if name not in self.scenario.accounts:
                self.document.report_unknown((*path, "given", name), "account", name, self.scenario.accounts)
            elif option not in self.scenario.accounts[name].options:
                options = self.scenario.accounts[name].options
                self.document.report_unknown((*path, "given", name), "option", option, options)
        if len(self.document.problems) == before:
            self._reaches_something(path, expectation, phases)

    def _reaches_something(self, path: Path, expectation: Expectation, phases: list[str]) -> None:
        """What is expected of probes and observations that the scope has in none of the phases is a mistake."""
        who, scenario = self._select(expectation.who), self.scenario
        if expectation.observations is not None and not expectation.who.is_of_operators:
            found = "a scope of some of an operator's subscribers"
            hint = "what is seen from outside is an operator's as a whole"
            self.document.report((*path, "who"), found, "nothing but `operators` with `observations`", hint)
            return
        for index, name in enumerate(_named(expectation.observations)):
            observation = scenario.observations[name]
            of = observation.operators or self.topology.operators
            seen = _some(observation.during, phases) and any(map(expectation.who.covers_operator, of))
            if phases and not seen:
                found = f"the observation {quoted(name)}, which none in this scope has in {', '.join(phases)}"
                hint = "widen its `operators` or `during`, or drop the expectation"
                self.document.report((*path, "observations", index), found, "one that is made there", hint)
        for index, name in enumerate(_named(expectation.probes)):
            if name in self.misdirected:
                continue  # told already, and who runs it is not known
            probe = scenario.probes[name]
            probed = _some(probe.during, phases) and any(map(probe.from_.covers, who))
            if phases and not probed:
                found = f"the probe {quoted(name)}, which nobody in this scope runs in {', '.join(phases)}"
                hint = "widen the probe's `from` or `during`, or drop the expectation"
                self.document.report((*path, "probes", index), found, "a probe that is run there", hint)


def _some(during: tuple[str, ...], phases: list[str]) -> bool:
    """Whether what is limited to some phases (none: it is not) is made in one of these."""
    return not during or not set(during).isdisjoint(phases)


def _named(reach: tuple[str, ...] | str | None) -> tuple[str, ...]:
    return reach if isinstance(reach, tuple) else ()


def vantage_named(topology: Topology, text: str) -> Vantage | None:
    """`kcell/almaty` or `kcell/almaty/government`; without a group the ordinary one, or the first."""
    parts = text.split("/")
    found = [v for v in topology.vantages() if list(v.id)[: len(parts)] == parts]
    ordinary = [v for v in found if v.id.group == "ordinary"]
    return next(iter(ordinary + found), None) if 2 <= len(parts) <= 3 else None


__all__ = ["Account", "Expectation", "Family", "Mode", "Outcome", "Phase", "Probe", "Scenario", "VantageId"]
