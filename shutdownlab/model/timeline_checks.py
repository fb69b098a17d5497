"""Checks a scenario's timeline: its order, what is started and stopped, who obeys, and which controllers come back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.model.faults import AUTHORITY
from shutdownlab.model.policy import Point, Policy
from shutdownlab.model.reference_checks import ReferenceChecker
from shutdownlab.model.scenario import Expectation, Mode, Phase, Scenario
from shutdownlab.model.topology import Topology


class TimelineChecker(ReferenceChecker):
    """Checks the phases, one after another.

    `expectation`: checks an expectation that a phase has in place: its path, itself, and the names of its phases.
    """

    def __init__(
        self,
        scenario: Scenario,
        topology: Topology,
        document: Document,
        expectation: Callable[[Path, Expectation, list[str]], None],
    ) -> None:
        super().__init__(scenario, topology, document)
        self._expectation = expectation
        self._started: set[str] = set()
        """The policies that have been in force in the phases checked so far."""

    def check(self) -> None:
        scenario, active = self.scenario, set[str]()
        first: dict[str, int] = {}
        for index, phase in enumerate(scenario.timeline):
            path: Path = ("timeline", index)
            if phase.phase in first:
                found = f"the phase {quoted(phase.phase)} again"
                hint = f"first: line {self.document.line(('timeline', first[phase.phase], 'phase'))}"
                self.document.report((*path, "phase"), found, "a unique name", hint)
            first.setdefault(phase.phase, index)
            before = scenario.timeline[index - 1].at if index else phase.at - timedelta(seconds=1)
            if phase.at <= before:
                found = f"{phase.at:%Y-%m-%dT%H:%MZ}, not in order of time"
                hint = "sort the phases by time"
                self.document.report((*path, "at"), found, f"a time after {before:%Y-%m-%dT%H:%MZ}", hint)
            if phase.at >= scenario.ends:
                found = f"{phase.at:%Y-%m-%dT%H:%MZ}, outside the scenario"
                self.document.report((*path, "at"), found, f"a time before its end, {scenario.ends:%Y-%m-%dT%H:%MZ}")
            self._names((*path, "start"), "policy", phase.start, scenario.policies)
            self._names((*path, "stop"), "policy", phase.stop, scenario.policies)
            self._names((*path, "faults"), "fault", phase.faults, scenario.faults)
            self._obedience(path, phase, (active - set(phase.stop)) | set(phase.start), active)
            self._comes_back(path, phase, scenario.timeline[index - 1] if index else None)
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

    def _obedience(self, path: Path, phase: Phase, active: set[str], before: set[str]) -> None:
        """Checks that operators depart only from orders that exist and that are theirs to carry out."""
        scenario, document = self.scenario, self.document
        if phase.obey and scenario.command is Mode.DIRECT:
            hint = "`command: operators`"
            document.report(
                (*path, "obey"),
                "`obey` with `command: direct`",
                "`obey` only where operators carry out the orders",
                hint,
            )
        self._names((*path, "obey"), "operator", phase.obey, self.topology.operators)
        for operator, how in phase.obey.items():
            if operator not in self.topology.operators:
                continue
            for key, place, name in how.named():
                at: Path = (*path, "obey", operator, key, place)
                policy = scenario.policies.get(name)
                if policy is None:
                    document.report_unknown(at, "policy", name, scenario.policies)
                elif key == "keeps" and name not in (before | self._started):
                    document.report(at, f"{quoted(name)}, which has never been in force", "a policy that has ended")
                elif (name in active) is (key == "keeps"):
                    found = f"{quoted(name)}, which is {'still' if key == 'keeps' else 'not'} in force"
                    document.report(at, found, "a policy that has ended" if key == "keeps" else "one in force")
                elif policy.breakage is not None or policy.jams or policy.at is Point.GATEWAY:
                    why = "carried out by the gateway" if policy.at is Point.GATEWAY else "not carried out by operators"
                    document.report(at, f"{quoted(name)}, which is {why}", "a policy that operators carry out")
                elif policy.routes and key == "spares":
                    hint = "a route is the same for all of its subscribers: use `ignores`"
                    document.report(at, f"{quoted(name)}, which is about routes", "a policy about subscribers", hint)
                elif not self._is_about(policy, operator):
                    document.report(
                        at,
                        f"{quoted(name)}, which is not about {operator}",
                        "a policy that this operator has to carry out",
                    )
            for name, leniency in how.spares.items():
                there = (*path, "obey", operator, "spares", name, "regions")
                self._names(there, "region", leniency.regions, self.topology.operators[operator].regions)
                self._classes((*there[:-1], "subscribers"), leniency.subscribers)
        self._started |= active

    def _is_about(self, policy: Policy, operator: str) -> bool:
        return (
            policy.is_addressed_to(operator)
            if policy.routes
            else any(policy.concerns(vantage) for vantage in self.vantages if vantage.id.operator == operator)
        )

    def _comes_back(self, path: Path, phase: Phase, before: Phase | None) -> None:
        """Checks that controllers come back, or restart, only while the authority is there to tell them what is in
        force."""
        if not {*phase.faults, *(before.faults if before else ())} <= self.scenario.faults.keys():
            return  # reported already
        lone = self.scenario.lone_controllers(phase, {})
        if AUTHORITY not in lone:
            return
        was_lone = self.scenario.lone_controllers(before, {}) if before is not None else frozenset()
        back = {n for f in self.scenario.broken(phase, {}, {}).values() if f.restart for n in f.restart.controllers}
        back |= was_lone - lone if AUTHORITY in was_lone else set()
        if back - {AUTHORITY}:
            found = f"the controller of {', '.join(sorted(back - {AUTHORITY}))} back, but no authority to give orders"
            hint = "end its fault together with the authority's, or earlier"
            self.document.report(
                (*path, "faults"), found, "controllers that come back while the authority is running", hint
            )
