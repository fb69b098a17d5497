"""Records a flow's verdict, once, and applies it to its packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.actions.action import STOP, DpiAction
from shutdownlab.inspection.decision import make_decision
from shutdownlab.inspection.flow import CLOSED, Flow
from shutdownlab.inspection.packet import RST, Packet
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.residual import ResidualBlocks
from shutdownlab.inspection.rules import RuleSet
from shutdownlab.inspection.table import FlowTable, new_flow, reverse_key
from shutdownlab.inspection.verdict import Action, Decision, FrameOutcome

FORWARD: Final = FrameOutcome(True)
"""Forwards the frame and does nothing else. Shared and never modified."""
DROP: Final = FrameOutcome(False)


class Enforcer:
    """Records and applies the verdicts of one box, and counts them."""

    def __init__(
        self,
        profile: Profile,
        rules: RuleSet,
        table: FlowTable,
        residual_blocks: ResidualBlocks,
        actions: Mapping[str, DpiAction],
    ) -> None:
        self.profile = profile
        self.rules = rules
        self.table = table
        self.residual_blocks = residual_blocks
        self.actions = dict(actions)
        self.apps = rules.apps
        self.on_path = profile.placement == "on-path"
        self.packets = 0
        """Packets seen so far, which is also the number of the current one (from 1)."""
        self.by_rule: dict[str, int] = {matcher.name: 0 for matcher in rules.matchers}
        self.by_verdict: dict[str, int] = {}
        self.by_protocol: dict[str, int] = {}

    # -- deciding ---------------------------------------------------------------------------------------------------

    def decide(self, flow: Flow, index: int, packet: Packet, from_opener: bool, side: int, now: float) -> FrameOutcome:
        """Records the verdict of the rule that matched, and applies it to this packet. `index`: the rule's index.

        A connection whose messages are judged one by one may get the same verdict again, which then goes on.
        """
        matcher = self.rules.matchers[index]
        verdict = matcher.rule.verdict
        if verdict.action == Action.BLOCK:
            residual = verdict.residual
            verdict = self.profile.verdict_for(flow.protocol)
            if residual is not None:
                verdict = verdict.model_copy(update={"residual": residual})
        flow.rule = index
        flow.matched = index
        self.by_rule[matcher.name] += 1
        if verdict.action == Action.PASS:
            return FrameOutcome(True, decision=self.decide_pass(flow, matcher.name))
        again = flow.verdict == verdict
        flow.verdict = verdict
        decision = self._record(flow, matcher.name)
        residual = verdict.residual
        if residual is not None:
            flow.residual = self.residual_blocks.add(
                verdict, index, flow.src, flow.sport, flow.dst, flow.dport, flow.proto, now
            )
        action = self.actions[verdict.action]
        act = action.later if again else action.first
        forward, replacement, inject = act(flow, verdict, packet, from_opener, side, now)
        return FrameOutcome(forward or self.on_path, replacement, inject, decision)

    def spares(self, flow: Flow, index: int) -> bool:
        """Returns whether the matching rule's verdict is `pass`, and if so records the match.

        It then applies to this message only; later messages of the connection are still matched.
        """
        matcher = self.rules.matchers[index]
        if matcher.rule.verdict.action != Action.PASS:
            return False
        if flow.matched != index:
            flow.untold = flow.matched < 0 and self.table.born is None and not flow.reported
            flow.matched = index
            self.by_rule[matcher.name] += 1
        if self.table.born is not None and not flow.reported:
            flow.told = ("pass", index, self.packets)
        return True

    def told(self, flow: Flow, outcome: FrameOutcome) -> FrameOutcome:
        """Returns `outcome`, with the decision on the first message that a rule let pass if not yet reported."""
        if not flow.untold:
            return outcome
        flow.untold = False
        if outcome.decision is not None:
            return outcome
        flow.app = self.apps.app_of(flow.recognition, flow.dst, flow.dport)
        decision = replace(make_decision(flow, None, None, self.rules.matchers[flow.matched].name), flow_rule=None)
        return FrameOutcome(outcome.forward, outcome.replacement, outcome.inject, decision)

    def let_pass(self, flow: Flow) -> FrameOutcome:
        """Records that no rule matches the connection, and forwards this packet."""
        decision = self.decide_pass(flow, None)
        return FORWARD if decision is None else FrameOutcome(True, decision=decision)

    def decide_pass(self, flow: Flow, rule: str | None = None) -> Decision | None:
        """Records that the connection passes, by `rule` or because none matches (None).

        Returns the decision to report, or None if there is nothing to report.
        """
        flow.verdict = None
        return self._record(flow, rule)

    def _record(self, flow: Flow, rule: str | None) -> Decision | None:
        flow.decided = True
        flow.decided_at = self.packets
        verdict = flow.verdict
        name = "pass" if verdict is None else str(verdict.action)
        if self.table.born is not None and not flow.reported:
            flow.told = (name, flow.matched, self.packets)
        self.by_verdict[name] = self.by_verdict.get(name, 0) + 1
        self.by_protocol[flow.protocol] = self.by_protocol.get(flow.protocol, 0) + 1
        flow.app = self.apps.app_of(flow.recognition, flow.dst, flow.dport)
        flow.recognition = None
        flow.client = None
        flow.server = None
        flow.udp = None
        if self.table.born is not None or flow.reported or flow.proto not in (TCP, UDP):
            # Offline, decisions are read from the flows. Without ports no flow rule can match the flow: it stays here.
            flow.reported = True
            return None
        flow.reported = True
        action = None if verdict is None else self.actions[verdict.action]
        return make_decision(flow, verdict, action, rule)

    # -- after the decision -----------------------------------------------------------------------------------------

    def enforce(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> FrameOutcome:
        """Applies the verdict to a further packet of a decided connection."""
        verdict = flow.verdict
        if verdict is None:
            return FORWARD
        action = self.actions[verdict.action]
        forward, replacement, inject = action.later(flow, verdict, packet, from_opener, side, now)
        if not inject and replacement is None:
            return FORWARD if forward or self.on_path else DROP
        return FrameOutcome(forward or self.on_path, replacement, inject)

    def end(self, flow: Flow, packet: Packet, from_opener: bool) -> None:
        """Closes a passing connection at its RST or second FIN; only the table's size depends on it."""
        if not packet.flags & RST:
            flow.fins |= 1 if from_opener else 2
            if flow.fins != 3:
                return
        flow.state = CLOSED

    def enforce_residual(self, packet: Packet, key: bytes, side: int, now: float) -> FrameOutcome | None:
        """Applies residual censorship to this packet; returns None if no residual block covers it."""
        found = self.residual_blocks.find(packet, now)
        if found is None:
            return None
        flow = self.table.flows.get(key) or self.table.flows.get(reverse_key(packet))
        decision: Decision | None = None
        if flow is None or flow.residual is not found:
            if flow is None:
                flow = new_flow(packet, key, side, now)
                self.table.add(flow)
            flow.residual = found
            flow.verdict = found.verdict
            flow.rule = found.rule
            flow.matched = found.rule
            decision = self._record(flow, self.rules.matchers[found.rule].name)
            if decision is not None and decision.residual is not None and not found.refreshed:
                decision = replace(decision, residual=replace(decision.residual, seconds=found.until - now))
        from_opener = flow.src == packet.src and flow.sport == packet.sport
        if side < 0:
            side = flow.opener if from_opener else 1 - flow.opener
        flow.last = now
        flow.packets += 1
        if found.after > 0:
            found.after -= 1
            return FrameOutcome(True, decision=decision)
        by_client = packet.src == found.client
        if (found.directions == "client" and not by_client) or (found.directions == "server" and by_client):
            return FrameOutcome(True, decision=decision)
        spec = found.verdict.residual
        way = "same" if spec is None else spec.action
        if way == "drop":
            forward, replacement, inject = STOP
        else:
            action = self.actions[found.verdict.action if way == "same" else way]
            forward, replacement, inject = action.residual(flow, found.verdict, packet, from_opener, side, now)
        return FrameOutcome(forward or self.on_path, replacement, inject, decision)
