"""Checks what a scenario asks of DPI boxes: names that they know, and actions that their profiles allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache

from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.policy import Verdict, action_kinds
from shutdownlab.inspection.profile import Profile, is_file_name, own_profile, shipped_profile
from shutdownlab.inspection.recognition import installed_recognisers
from shutdownlab.inspection.vocabulary import check_rules, profile_names
from shutdownlab.model import policy as orders
from shutdownlab.model.policy import Direction, Policy
from shutdownlab.model.scenario import Scenario
from shutdownlab.model.topology import Topology


@cache
def profile_named(name: str) -> Profile:
    """Returns a shipped profile, read once; raises `BadInput` if there is none of that name."""
    return shipped_profile(name)


def profiles_of(
    scenario: Scenario, topology: Topology, apps: Collection[str], document: Document
) -> Mapping[str, Profile]:
    """Returns the profile of every operator's DPI box, by operator: a shipped one, or the user's own from a file.

    Unknown profiles and operators are reported to `document` and left out.
    """
    found: dict[str, Profile | None] = {}

    def profile(path: Path, name: str) -> None:
        if name in found:
            return
        if is_file_name(name):
            found[name] = own_profile(document, path, name, apps)
        elif name in profile_names():
            found[name] = profile_named(name)
        else:
            hint = document.near(name, profile_names()) or "one of your own: the path of its file, such as ./mine.yaml"
            document.report_unknown(path, "profile of DPI boxes", name, profile_names(), hint)
            found[name] = None

    profile(("profile",), scenario.profile)
    for operator, name in scenario.profiles.items():
        if operator in topology.operators:
            profile(("profiles", operator), name)
        else:
            document.report_unknown(("profiles", operator), "operator", operator, topology.operators)
    _check_names(scenario, found, document)
    chosen = {operator: found.get(scenario.profile_of(operator)) for operator in topology.operators}
    return {operator: profile for operator, profile in chosen.items() if profile is not None}


def _check_names(scenario: Scenario, found: Mapping[str, Profile | None], document: Document) -> None:
    """Reports profiles that share a name, since messages to boxes and result files identify a profile by its name."""
    first: dict[str, str] = {}
    for file, profile in found.items():
        if profile is not None and first.setdefault(profile.name, file) != file:
            path: Path = next(("profiles", o) for o, name in scenario.profiles.items() if name == file)
            found_there = f"{quoted(file)}, whose name is {profile.name}, as that of {quoted(first[profile.name])}"
            document.report(path, found_there, "a different name for each profile", "change `name` in one of the files")


def check_boxes(
    scenario: Scenario,
    topology: Topology,
    apps: Mapping[str, App],
    profiles: Mapping[str, Profile],
    document: Document,
) -> None:
    """Reports to `document` everything that the DPI boxes would not understand or could not do; `profiles`: by
    operator."""
    _Checker(scenario, topology, apps, profiles, document).check()


class _Checker:
    def __init__(
        self,
        scenario: Scenario,
        topology: Topology,
        apps: Mapping[str, App],
        profiles: Mapping[str, Profile],
        document: Document,
    ) -> None:
        self.scenario, self.topology, self.apps, self.document = scenario, topology, apps, document
        self.profiles = profiles

    def check(self) -> None:
        for name, policy in self.scenario.policies.items():
            path: Path = ("policies", name)
            check_rules(
                self.document,
                (*path, "inspect"),
                self.apps,
                self.topology.class_names,
                self.topology.as_numbers,
            )
            if policy.needs_boxes:
                for operator, profile in self._concerned(policy):
                    self._can(path, policy, operator, profile)

    def _concerned(self, policy: Policy) -> Iterator[tuple[str, Profile]]:
        """Yields the operators whose boxes carry out a policy, but only the first operator of each profile."""
        seen: set[str] = set()
        for vantage in self.topology.vantages():
            operator = vantage.id.operator
            profile = self.profiles.get(operator)
            if profile is not None and profile.name not in seen and policy.concerns(vantage):
                seen.add(profile.name)
                yield operator, profile

    def _can(self, path: Path, policy: Policy, operator: str, profile: Profile) -> None:
        box = f"{operator}'s box, {profile.name},"
        targets = policy.targets.for_boxes
        if profile.protocols:
            self._sees((*path, "block" if policy.block else "only", "protocols"), targets.protocols, box, profile)
            for index, rule in enumerate(policy.inspect or ()):
                named = [name for name in rule.when.protocol if name in installed_recognisers().protocols]
                if named and not set(named) & set(profile.protocols):
                    self._sees((*path, "inspect", index, "when", "protocol"), named, box, profile)
        if profile.placement == "in-path":
            return
        hint = "an on-path box sees copies and can only inject; `shutdownlab profiles` says which are in-path"
        if policy.slows:
            verb = "throttle" if policy.throttle is not None else "degrade"
            self.document.report((*path, verb), f"`{verb}` where {box} is on-path", "an in-path profile", hint)
        if policy.freezes:
            self.document.report(
                (*path, "freeze_after"), f"`freeze_after` where {box} is on-path", "an in-path profile", hint
            )
            return
        dropping = policy.action is orders.BlockAction.DROP or policy.direction is not Direction.BOTH
        if policy.block is not None and dropping:
            key = "action" if policy.action is orders.BlockAction.DROP else "direction"
            found = f"`{key}: {getattr(policy, key)}` where {box} is on-path"
            self.document.report((*path, key), found, "an in-path profile, or `action: reset`", hint)
        for index, rule in enumerate(policy.inspect or ()):
            beyond = _beyond_on_path(rule.verdict)
            if beyond:
                found = f"{beyond} where {box} is on-path"
                self.document.report((*path, "inspect", index, "verdict"), found, "an in-path profile", hint)

    def _sees(self, path: Path, protocols: Iterable[str], box: str, profile: Profile) -> None:
        for name in protocols:
            if name not in profile.protocols:
                hint = self.document.near(name, profile.protocols) or "choose another profile for it"
                expected = f"a protocol that it recognises: {', '.join(sorted(profile.protocols))}"
                self.document.report(path, f"the protocol {name}, which {box} does not recognise", expected, hint)


def _beyond_on_path(verdict: Verdict) -> str:
    """Returns the part of a verdict that an on-path box cannot carry out; "" if there is none."""
    kind = action_kinds().get(verdict.action)
    return "" if kind is None else kind.beyond_on_path(verdict)
