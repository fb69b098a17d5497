"""Whether what a scenario asks of DPI boxes can be asked of them: names they know, and deeds their profiles allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from shutdownlab.config.document import Document, Path, did_you_mean
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.policy import Verdict
from shutdownlab.inspection.profile import Profile, shipped_profile
from shutdownlab.inspection.recognition import PROTOCOLS
from shutdownlab.inspection.verdict import Action
from shutdownlab.inspection.vocabulary import check_rules, profile_names
from shutdownlab.model import policy as orders
from shutdownlab.model.policy import Direction, Policy
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import SubscriberClass, Topology

_IN_PATH_ONLY = frozenset({Action.DROP, Action.THROTTLE, Action.FREEZE, Action.INTERCEPT})


@cache
def profile_named(name: str) -> Profile:
    """A profile that ships, read once; raises `BadInput` if none has the name."""
    return shipped_profile(name)


def check_boxes(scenario: Scenario, topology: Topology, apps: Mapping[str, App], document: Document) -> None:
    """Report to `document` all that DPI boxes would not understand or could not do."""
    _Checker(scenario, topology, apps, document).check()


class _Checker:
    def __init__(self, scenario: Scenario, topology: Topology, apps: Mapping[str, App], document: Document) -> None:
        self.scenario, self.topology, self.apps, self.document = scenario, topology, apps, document
        self.known = profile_names()

    def check(self) -> None:
        scenario = self.scenario
        if scenario.profile not in self.known:
            self.document.report_unknown(("profile",), "profile of DPI boxes", scenario.profile, self.known)
        for operator, name in scenario.profiles.items():
            if operator not in self.topology.operators:
                self.document.report_unknown(("profiles", operator), "operator", operator, self.topology.operators)
            elif name not in self.known:
                self.document.report_unknown(("profiles", operator), "profile of DPI boxes", name, self.known)
        for name, policy in scenario.policies.items():
            path: Path = ("policies", name)
            check_rules(self.document, (*path, "inspect"), self.apps, tuple(SubscriberClass))
            if policy.needs_boxes:
                for operator, profile in self._concerned(policy):
                    self._can(path, policy, operator, profile)

    def _concerned(self, policy: Policy) -> Iterator[tuple[str, Profile]]:
        """Whose boxes carry it out, the first operator of each profile."""
        seen: set[str] = set()
        for vantage in self.topology.vantages():
            operator = vantage.id.operator
            name = self.scenario.profile_of(operator)
            if name in self.known and name not in seen and policy.concerns(vantage):
                seen.add(name)
                yield operator, profile_named(name)

    def _can(self, path: Path, policy: Policy, operator: str, profile: Profile) -> None:
        box = f"{operator}'s box, {profile.name},"
        targets = policy.targets.for_boxes
        if profile.protocols:
            self._sees((*path, "block" if policy.block else "only", "protocols"), targets.protocols, box, profile)
            for index, rule in enumerate(policy.inspect or ()):
                named = [name for name in rule.when.protocol if name in PROTOCOLS]
                if named and not set(named) & set(profile.protocols):
                    self._sees((*path, "inspect", index, "when", "protocol"), named, box, profile)
        if profile.placement == "in-path":
            return
        hint = "an on-path box sees copies and can only inject; `shutdownlab profiles` says which are in-path"
        if policy.throttle is not None:
            self.document.report((*path, "throttle"), f"`throttle` where {box} is on-path", "an in-path profile", hint)
        dropping = policy.action is orders.Action.DROP or policy.direction is not Direction.BOTH
        if policy.block is not None and dropping:
            key = "action" if policy.action is orders.Action.DROP else "direction"
            found = f"`{key}: {getattr(policy, key)}` where {box} is on-path"
            self.document.report((*path, key), found, "an in-path profile, or `action: reset`", hint)
        for index, rule in enumerate(policy.inspect or ()):
            deed = _impossible(rule.verdict)
            if deed:
                found = f"{deed} where {box} is on-path"
                self.document.report((*path, "inspect", index, "verdict"), found, "an in-path profile", hint)

    def _sees(self, path: Path, protocols: Iterable[str], box: str, profile: Profile) -> None:
        for name in protocols:
            if name not in profile.protocols:
                hint = did_you_mean(name, profile.protocols) or "choose another profile for it"
                expected = f"one that it does: {', '.join(sorted(profile.protocols))}"
                self.document.report(path, f"the protocol {name}, which {box} does not recognise", expected, hint)


def _impossible(verdict: Verdict) -> str:
    """What of a verdict a box beside the path cannot do."""
    if verdict.action in _IN_PATH_ONLY:
        return f"the verdict {verdict.action}"
    return "a reset by `rewrite`" if verdict.action is Action.RESET and verdict.rewrite else ""
