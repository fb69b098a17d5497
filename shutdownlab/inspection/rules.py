"""The ordered rules of a box, restricted to the protocols that the box recognises."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import TCP
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.lots import Lots
from shutdownlab.inspection.matching import NO, WAIT, YES, AppLookup, Matcher
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognition

NONE: Final = -1
"""No rule can match."""
OPEN: Final = -2
"""A rule may still match once more has been seen."""

_UNKNOWN: Final = Recognition("unknown")
STILL_UNKNOWN: Final = Recognition("unknown", None, True)


class RuleSet:
    """The policy's rules, then the profile's own."""

    def __init__(self, policy: InspectionPolicy, profile: Profile, apps: AppLookup, lots: Lots) -> None:
        every = (*policy.rules, *profile.rules)
        self.matchers = [Matcher(rule, index, policy) for index, rule in enumerate(every)]
        self.count = len(self.matchers)
        self.traced = max((matcher.traced for matcher in self.matchers), default=0)
        """How many of a connection's first packets the rules need."""
        self.about_answers = any(matcher.about_answers for matcher in self.matchers)
        """Whether some rule is about DNS responses."""
        self.apps = apps
        self.lots = lots
        self.visible = frozenset(profile.protocols)
        self.ports = dict(profile.ports)
        self.limited = bool(self.visible or self.ports)
        self._looks_inside = profile.parse.starttls or profile.parse.proxies
        self.opener = {"any": -1, "inside": 0, "outside": 1}[profile.opener]

    def begin(self, flow: Flow, now: float) -> None:
        """Restarts matching for a connection, skipping the leading rules that its headers already rule out."""
        if flow.passed or 0 <= self.opener != (1 - flow.opener if flow.swapped else flow.opener):
            flow.rule = self.count
            return
        index = 0
        while index < self.count and not self.matchers[index].test_headers(flow, now, self.lots):
            index += 1
        flow.rule = index

    def awaits(self, recognition: Recognition, flow: Flow) -> bool:
        """Returns whether more bytes may make this a protocol that the box recognises."""
        if not recognition.more or recognition.possible is None or self._looks_inside:
            return recognition.more  # in a box that parses what is inside, any protocol may follow
        return any(self.sees(name, flow) for name in recognition.possible)

    def sees(self, protocol: str, flow: Flow) -> bool:
        """Returns whether this box recognises the protocol on the flow's port."""
        if self.visible and protocol not in self.visible:
            return False
        ports = self.ports.get(protocol)
        if ports is None:
            return True
        name = "tcp" if flow.proto == TCP else "udp"
        return any(item.contains(name, flow.dport) for item in ports)

    def match_headers(self, flow: Flow, side: int, now: float) -> int:
        """Returns the index of the first rule that matches without payload, or NONE or OPEN."""
        index = flow.rule
        while index < self.count:
            matcher = self.matchers[index]
            if matcher.test_headers(flow, now, self.lots):
                if matcher.direction >= 0 and matcher.direction != side:
                    flow.rule = index
                    return OPEN
                if not matcher.needs_payload:
                    return index
                if matcher.apps_only and self.apps.app_of(None, flow.dst, flow.dport) in matcher.apps:
                    return index
                flow.rule = index
                return OPEN
            index += 1
        flow.rule = index
        return NONE

    def match(
        self, flow: Flow, recognition: Recognition, client: bytes, server: bytes, side: int, now: float, last: bool
    ) -> int:
        """Returns the index of the first rule that matches, or NONE, or OPEN (not if `last`: no more will be seen)."""
        reads = not self.limited or self.sees(recognition.protocol, flow)
        if not reads:
            recognition = STILL_UNKNOWN if recognition.more else _UNKNOWN
        index = flow.rule
        while index < self.count:
            matcher = self.matchers[index]
            if matcher.test_headers(flow, now, self.lots):
                answer = YES
                if matcher.direction >= 0 and matcher.direction != side:
                    answer = NO if last else WAIT
                elif matcher.needs_payload:
                    answer = matcher.test_payload(
                        flow, now, self.lots, recognition, self.apps, client, server, last, reads
                    )
                if answer == WAIT:
                    flow.rule = index
                    return OPEN
                if answer == YES:
                    return index
            index += 1
        flow.rule = index
        return NONE
