"""The inspection engine: takes a frame and the time, returns what to do with it. No I/O, no clock, never raises.

One engine is one box: a policy (what is blocked), a profile (how the box parses and reacts) and its flow table.
"""

from __future__ import annotations

import random
from typing import Final

from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP, UDP
from shutdownlab.inspection.actions.registry import installed_actions
from shutdownlab.inspection.catalogue import shipped_apps
from shutdownlab.inspection.classification import Classifier
from shutdownlab.inspection.enforcement import DROP, FORWARD, Enforcer
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.fragments import Fragments
from shutdownlab.inspection.lots import Lots
from shutdownlab.inspection.matching import AppLookup
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, Packet, decode
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognisers, installed_recognisers
from shutdownlab.inspection.residual import ResidualBlocks
from shutdownlab.inspection.rules import RuleSet
from shutdownlab.inspection.table import FlowTable, flow_key, new_flow, reverse_key
from shutdownlab.inspection.tcp_tracker import TcpTracker
from shutdownlab.inspection.tunnels import unwrapped
from shutdownlab.inspection.validation import Validator
from shutdownlab.inspection.verdict import Action, Decision, FrameOutcome, Injection, Residual, Side

__all__ = ["Action", "Decision", "Engine", "FrameOutcome", "Injection", "Residual", "Side"]

SWEEP_EVERY: Final = 5.0
"""Seconds between sweeps of the whole flow table for expired entries."""


class Engine:
    """One box. Call `process` with each frame in arrival order, and `expire` now and then.

    `apps` finds a connection's app (None: the catalogue that ships), `recognisers` its protocol (None: the installed
    ones). `classify`: follow connections until they are recognised, even when no rule can match any more, as `inspect`
    does on captures. `seed` makes random draws repeatable; `chance` replaces them.
    """

    def __init__(
        self,
        policy: InspectionPolicy,
        profile: Profile,
        *,
        seed: int = 0,
        apps: AppLookup | None = None,
        recognisers: Recognisers | None = None,
        classify: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.policy = policy
        self.profile = profile
        self.apps: AppLookup = apps or shipped_apps()
        self.classify = classify
        rng = chance or random.Random(seed)
        self.rng = rng
        self.on_path = profile.placement == "on-path"
        self.lots = Lots(seed, chance)
        self.rules = RuleSet(policy, profile, self.apps, self.lots)
        self.table = FlowTable(profile, self.on_path)
        self.tracker = TcpTracker(profile, self.lots)
        self.validator = Validator(profile)
        self.fragments = Fragments(profile.ip)
        self.residual_blocks = ResidualBlocks()
        actions = {name: kind(rng, self.on_path) for name, kind in installed_actions().items()}
        self.enforcer = Enforcer(profile, self.rules, self.table, self.residual_blocks, actions)
        self.recognisers = recognisers or installed_recognisers()
        self.classifier = Classifier(profile, self.recognisers, self.rules, self.tracker, self.enforcer, classify)
        self.malformed = 0
        self.disbelieved = 0
        """Packets that failed the profile's `validate`."""
        self._swept = 0.0
        self._packets_low, self._packets_high = profile.budget.packets
        self._fragments = profile.ip.fragments
        self._tunnels = profile.ip.tunnels
        self._parts = classify and self.rules.count > 0
        """Whether flows followed only for recognition need a separate record of what the box still tracks of them."""
        self._holds = profile.ip.hold and not self.on_path

    # -- the outside ------------------------------------------------------------------------------------------------

    def process(
        self, frame: bytes, side: Side, now: float, *, checksum_trusted: bool = False, segment: int = 0
    ) -> FrameOutcome:
        """Inspects one Ethernet frame that came in by `side` at `now` (seconds; Unix time where rules have `hours`).

        `checksum_trusted`: do not check checksums, as the sender's kernel has yet to fill them in. `segment`: payload
        bytes per packet of a segmentation-offload frame (0: it is one packet).
        """
        return self.inspect(decode(frame), side, now, checksum_trusted, segment)

    def expire(self, now: float) -> int:
        """Drops expired connections, residual blocks and fragments; returns how many.

        Does nothing within `SWEEP_EVERY` seconds of the last sweep.
        """
        if now - self._swept < SWEEP_EVERY and now >= self._swept:
            return 0
        self._swept = now
        return self.table.expire(now) + self.residual_blocks.expire(now) + self.fragments.expire(now)

    @property
    def intercepts(self) -> bool:
        """Whether any verdict of this box can be `intercept`."""
        blocks = [self.profile.verdict_for(name).action for name in type(self.profile.block).model_fields]
        actions = {matcher.rule.verdict.action for matcher in self.rules.matchers}
        return Action.INTERCEPT in actions or (Action.BLOCK in actions and Action.INTERCEPT in blocks)

    @property
    def counters(self) -> dict[str, object]:
        """All counters so far, as plain data."""
        return {
            "profile": self.profile.name,
            "packets": self.enforcer.packets,
            "flows": len(self.table.flows),
            "punished": len(self.residual_blocks.by_key),
            "malformed": self.malformed,
            "disbelieved": self.disbelieved,
            "fragments_given_up": self.fragments.given_up,
            "overload_open": self.table.overload_open,
            "overload_closed": self.table.overload_closed,
            "rules": dict(self.enforcer.by_rule),
            "verdicts": dict(self.enforcer.by_verdict),
            "protocols": dict(self.enforcer.by_protocol),
        }

    # -- packets ----------------------------------------------------------------------------------------------------

    def inspect(self, packet: Packet, side: int, now: float, trusted: bool = False, segment: int = 0) -> FrameOutcome:
        """Like `process`, for a packet that is already decoded.

        `side` below 0: unknown, as in captures; the end that opened the connection then counts as inside.
        """
        enforcer = self.enforcer
        enforcer.packets += 1
        if packet.fragment_more or packet.fragment_offset:
            return self._fragment(packet, side, now)
        if packet.problem is not None:
            self.malformed += 1
            return FORWARD
        if self._tunnels and packet.proto != TCP:
            packet = unwrapped(packet, self._tunnels)
            if packet.fragment_more or packet.fragment_offset:
                return self._fragment(packet, side, now)
        proto = packet.proto
        key = flow_key(packet)
        if self.residual_blocks.by_key:
            outcome = enforcer.enforce_residual(packet, key, side, now)
            if outcome is not None:
                return outcome
        table = self.table
        flow = table.flows.get(key)
        from_opener = True
        if flow is None:
            flow = table.flows.get(reverse_key(packet))
            from_opener = False
        if flow is not None and (table.is_over(flow, now) or table.is_anew(flow, packet)):
            table.forget(flow)
            flow = None
        decision: Decision | None = None
        believed = False
        if flow is None:
            believed = True
            flow = self._create(packet, key, side, now, trusted)
            if flow is None:
                return DROP if table.refuses and len(table.flows) >= table.size else FORWARD
            from_opener = flow.src == packet.src and flow.sport == packet.sport
            if flow.rule >= self.rules.count:
                if self.classify:
                    flow.passed = True
                    if self._parts:
                        table.part(flow)
                else:
                    decision = enforcer.decide_pass(flow)
        flow.last = now
        flow.packets += 1
        if side < 0:
            side = flow.opener if from_opener else 1 - flow.opener
        if flow.decided:
            if decision is not None:
                return FrameOutcome(True, decision=decision)
            if flow.verdict is None:
                if proto == TCP and packet.flags & (FIN | RST):
                    enforcer.end(flow, packet, from_opener)
                if flow.followed is not None and not flow.followed.decided:
                    self._follow(flow.followed, packet, from_opener, side, now, trusted, segment)
                return FORWARD
            return enforcer.enforce(flow, packet, from_opener, side, now)
        ports = proto in (TCP, UDP)
        if ports and not believed and not self.validator.believes(packet, flow, from_opener != flow.swapped, trusted):
            self.disbelieved += 1
            return FORWARD
        passed = flow.passed
        if proto == TCP:
            outcome = self.classifier.tcp(flow, packet, from_opener, side, now, segment)
        elif proto == UDP:
            outcome = self.classifier.udp(flow, packet, from_opener, side, now)
        else:
            outcome = self.classifier.other(flow, packet, from_opener, side, now)
        if self._parts and flow.passed and not passed:
            table.part(flow)
        return outcome

    def _follow(
        self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, trusted: bool, segment: int
    ) -> None:
        """Follows a connection that the box has let pass, to recognise its protocol."""
        flow.last = now
        flow.packets += 1
        if not self.validator.believes(packet, flow, from_opener != flow.swapped, trusted):
            return
        if packet.proto == TCP:
            self.classifier.tcp(flow, packet, from_opener, side, now, segment)
        elif packet.proto == UDP:
            self.classifier.udp(flow, packet, from_opener, side, now)

    def _fragment(self, packet: Packet, side: int, now: float) -> FrameOutcome:
        hold = self._holds
        if self._fragments == "ignore" and not hold:
            return FORWARD
        if self._fragments == "drop" and not self.on_path:
            return DROP
        whole, held = self.fragments.add(packet, now)
        if whole is None:
            return DROP if hold else FORWARD
        outcome = FORWARD
        if self._fragments == "reassemble":
            self.enforcer.packets -= 1
            outcome = self.inspect(whole, side, now, False, 0)
        if not hold or not outcome.forward:
            return outcome
        towards = Side.OUTSIDE if side <= 0 else Side.INSIDE
        released = tuple([Injection(towards, frame) for frame in held[:-1]])
        return FrameOutcome(True, outcome.replacement, outcome.inject + released, outcome.decision)

    def _create(self, packet: Packet, key: bytes, side: int, now: float, trusted: bool) -> Flow | None:
        """Creates and returns the state of a new connection; None if the box tracks none for this packet."""
        proto = packet.proto
        table = self.table
        if proto == TCP and not self.tracker.may_create(packet):
            if table.born is not None:
                table.note(packet, key, side, now)
            return None
        if proto in (TCP, UDP) and not self.validator.believes(packet, None, True, trusted):
            self.disbelieved += 1
            return None
        if len(table.flows) >= table.size:
            self._swept = now - SWEEP_EVERY
            self.expire(now)
            if table.is_full():
                return None
        flow = new_flow(packet, key, side, now)
        # An on-path box may get a SYN/ACK before its SYN; either shows the client's initial sequence number.
        flow.first_seq = packet.seq if packet.flags & (SYN | ACK) != SYN | ACK else (packet.ack - 1) & 0xFFFFFFFF
        if proto not in (TCP, UDP):
            flow.protocol = PROTOCOL_NAMES.get(proto, "unknown")
        low, high = self._packets_low, self._packets_high
        flow.limit = low if low == high else self.lots.between(flow, low, high)
        self.rules.begin(flow, now)
        table.add(flow)
        return flow
