"""The inspection engine: a frame and the time in, what to do with it out. No I/O, no clock, no exceptions on any input.

One engine is one box: a policy (what is blocked), a profile (how the box parses and reacts) and its flow table.
"""

from __future__ import annotations

import random
from typing import Final

from shutdownlab.inspection.acting import Actor
from shutdownlab.inspection.catalogue import shipped_apps
from shutdownlab.inspection.decision import make_decision
from shutdownlab.inspection.flow import CLOSED, Flow
from shutdownlab.inspection.fragments import Fragments
from shutdownlab.inspection.matching import AppLookup
from shutdownlab.inspection.packet import FIN, RST, TCP, UDP, Packet, decode
from shutdownlab.inspection.policy import InspectionPolicy
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognition, UdpRecogniser, recognise_tcp
from shutdownlab.inspection.residual import Punishments
from shutdownlab.inspection.rules import OPEN, STILL_UNKNOWN, RuleSet
from shutdownlab.inspection.table import FlowTable, flow_key, new_flow, reverse_key
from shutdownlab.inspection.tcb import CLIENT, NOTHING, Tcb
from shutdownlab.inspection.validation import Validator
from shutdownlab.inspection.verdict import Action, Decision, Injection, Outcome, Residual, Side

__all__ = ["Action", "Decision", "Engine", "Injection", "Outcome", "Residual", "Side"]

FORWARD: Final = Outcome(True)
"""Shared, never changed: the frame goes on and nothing else happens."""
DROP: Final = Outcome(False)
SWEEP_EVERY: Final = 5.0
"""Seconds between looks through the whole flow table for what has timed out."""

_IP_PROTOCOLS: Final = {1: "icmp", 2: "igmp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp"}
_HTTP_BODY: Final = Recognition("http")
_NAMELESS: Final = ("unknown", "fet")


class Engine:
    """`process` each frame in the order of arrival; `expire` now and then.

    `apps` tells which app a connection is (None: the catalogue that ships). `classify`: follow connections until they
    are recognised even where no rule could match any more, as `inspect` does on files. `seed` makes chance repeatable.
    """

    def __init__(
        self,
        policy: InspectionPolicy,
        profile: Profile,
        *,
        seed: int = 0,
        apps: AppLookup | None = None,
        classify: bool = False,
    ) -> None:
        self.policy = policy
        self.profile = profile
        self.apps: AppLookup = apps or shipped_apps()
        self.classify = classify
        rng = random.Random(seed)
        self.rng = rng
        self.on_path = profile.placement == "on-path"
        self.rules = RuleSet(policy, profile, self.apps, rng)
        self.table = FlowTable(profile, self.on_path)
        self.tcb = Tcb(profile, rng)
        self.validator = Validator(profile)
        self.fragments = Fragments(profile.ip)
        self.punishments = Punishments()
        self.actor = Actor(rng, self.on_path)
        self.born: list[Flow] | None = None
        """Every new connection is appended, if this is set to a list."""
        self.packets = 0
        self.malformed = 0
        self.disbelieved = 0
        """Packets that failed the profile's validation."""
        self.by_rule: dict[str, int] = {matcher.name: 0 for matcher in self.rules.matchers}
        self.by_verdict: dict[str, int] = {}
        self.by_protocol: dict[str, int] = {}
        budget = profile.budget
        self._swept = 0.0
        self._only_side = {None: -1, "outbound": 0, "inbound": 1}[profile.only_direction]
        self._packets_low, self._packets_high = budget.packets
        self._bytes = budget.bytes
        self._datagrams = budget.datagrams
        self._least = budget.least
        self._every_request = budget.every_request
        self._gives_up = budget.give_up_unrecognised
        self._gives_up_over = budget.give_up_unrecognised_over
        self._gives_up_clean = budget.give_up_clean
        self._tolerance = profile.parse
        self._reads_answers = self.tcb.assembles and not self.tcb.client_only
        self._fragments = profile.ip.fragments
        self._holds = profile.ip.hold and not self.on_path

    # -- the outside ------------------------------------------------------------------------------------------------

    def process(
        self, frame: bytes, side: Side, now: float, *, checksum_trusted: bool = False, segment: int = 0
    ) -> Outcome:
        """Judge one Ethernet frame that came in by `side` at `now` (seconds; only differences and hours matter).

        `checksum_trusted`: the sender's kernel vouches for checksums it has not finished. `segment`: payload bytes of
        each packet that a segmentation-offload frame stands for (0: it is one packet).
        """
        return self.inspect(decode(frame), side, now, checksum_trusted, segment)

    def expire(self, now: float) -> int:
        """Forget connections, punishments and fragments whose time is over; returns how many. Sweeps rarely."""
        if now - self._swept < SWEEP_EVERY and now >= self._swept:
            return 0
        self._swept = now
        return self.table.expire(now) + self.punishments.expire(now) + self.fragments.expire(now)

    @property
    def intercepts(self) -> bool:
        """Whether any verdict of this box's is to intercept."""
        blocks = [self.profile.verdict_for(name).action for name in type(self.profile.block).model_fields]
        actions = {matcher.rule.verdict.action for matcher in self.rules.matchers}
        return Action.INTERCEPT in actions or (Action.BLOCK in actions and Action.INTERCEPT in blocks)

    @property
    def counters(self) -> dict[str, object]:
        """Everything counted so far, as plain data."""
        return {
            "profile": self.profile.name,
            "packets": self.packets,
            "flows": len(self.table.flows),
            "punished": len(self.punishments.by_key),
            "malformed": self.malformed,
            "disbelieved": self.disbelieved,
            "fragments_given_up": self.fragments.given_up,
            "overload_open": self.table.overload_open,
            "overload_closed": self.table.overload_closed,
            "rules": dict(self.by_rule),
            "verdicts": dict(self.by_verdict),
            "protocols": dict(self.by_protocol),
        }

    # -- packets ----------------------------------------------------------------------------------------------------

    def inspect(self, packet: Packet, side: int, now: float, trusted: bool = False, segment: int = 0) -> Outcome:
        """`process` for a packet that is already decoded."""
        # `side` below 0: not known, as on files; then whoever opened the connection is inside.
        self.packets += 1
        if packet.fragment_more or packet.fragment_offset:
            return self._fragment(packet, side, now)
        if packet.problem is not None:
            self.malformed += 1
            return FORWARD
        proto = packet.proto
        key = flow_key(packet)
        if self.punishments.by_key:
            outcome = self._punished(packet, key, side, now)
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
            if flow.rule >= self.rules.count and not self.classify:
                decision = self._decide_pass(flow)
        flow.last = now
        flow.packets += 1
        if side < 0:
            side = flow.opener if from_opener else 1 - flow.opener
        if flow.decided:
            if decision is not None:
                return Outcome(True, decision=decision)
            if flow.verdict is None:
                if proto == TCP and packet.flags & (FIN | RST):
                    self._end_of_decided(flow, packet, from_opener)
                return FORWARD
            return self._enforce(flow, packet, from_opener, side, now)
        if proto == TCP:
            if not believed and not self.validator.believes(packet, flow, from_opener != flow.swapped, trusted):
                self.disbelieved += 1
                return FORWARD
            return self._tcp(flow, packet, from_opener, side, now, segment)
        if proto == UDP:
            if not believed and not self.validator.believes(packet, flow, from_opener, trusted):
                self.disbelieved += 1
                return FORWARD
            return self._udp(flow, packet, from_opener, side, now)
        return self._other(flow, packet, from_opener, side, now)

    def _fragment(self, packet: Packet, side: int, now: float) -> Outcome:
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
            self.packets -= 1
            outcome = self.inspect(whole, side, now, False, 0)
        if not hold or not outcome.forward:
            return outcome
        towards = Side.OUTSIDE if side <= 0 else Side.INSIDE
        released = tuple([Injection(towards, frame) for frame in held[:-1]])
        return Outcome(True, outcome.replacement, outcome.inject + released, outcome.decision)

    def _create(self, packet: Packet, key: bytes, side: int, now: float, trusted: bool) -> Flow | None:
        """State for a new connection; None where the box makes none."""
        proto = packet.proto
        creates = proto != TCP or self.tcb.may_create(packet)
        if not creates and self.born is None:
            return None
        if proto in (TCP, UDP) and not self.validator.believes(packet, None, True, trusted):
            self.disbelieved += 1
            return None
        table = self.table
        if len(table.flows) >= table.size:
            self._swept = now - SWEEP_EVERY
            self.expire(now)
            if table.is_full():
                return None
        flow = new_flow(packet, key, side, now)
        flow.tracked = creates
        if proto not in (TCP, UDP):
            flow.protocol = _IP_PROTOCOLS.get(proto, "unknown")
        low, high = self._packets_low, self._packets_high
        flow.limit = low if low == high else self.rng.randint(low, high)
        self.rules.begin(flow, now)
        table.flows[flow.key] = flow
        if self.born is not None:
            self.born.append(flow)
        return flow

    # -- by transport -----------------------------------------------------------------------------------------------

    def _tcp(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, segment: int) -> Outcome:
        tcb = self.tcb
        from_client = from_opener != flow.swapped
        if from_client:
            if flow.client_ttl == 0:
                flow.client_ttl = packet.ttl
        elif flow.server_ttl == 0:
            flow.server_ttl = packet.ttl
        swapped = flow.swapped
        what = tcb.track(flow, packet, from_client)
        if flow.swapped != swapped:
            self.rules.begin(flow, now)
        rules = self.rules
        if flow.rule < rules.count:
            index = rules.match_headers(flow, side, now)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        if flow.given_up:
            return self._give_up(flow)
        if what == NOTHING:
            return FORWARD
        if 0 <= self._only_side != side:
            return FORWARD
        if not tcb.assembles:
            return self._single(flow, packet, from_opener, what == CLIENT, side, now, segment)
        client = b"" if flow.client is None else flow.client.data
        server = b"" if flow.server is None else flow.server.data
        return self._judge(flow, packet, from_opener, side, now, client, server)

    def _single(
        self, flow: Flow, packet: Packet, from_opener: bool, client: bool, side: int, now: float, segment: int
    ) -> Outcome:
        """A box that does not assemble: every packet by itself, those in an offload frame too."""
        data = packet.data
        if segment <= 0 or len(data) <= segment:
            parts = [data]
        else:
            parts = [data[at : at + segment] for at in range(0, len(data), segment)]
        outcome = FORWARD
        for part in parts:
            if client:
                outcome = self._judge(flow, packet, from_opener, side, now, part, b"")
            else:
                outcome = self._judge(flow, packet, from_opener, side, now, b"", part)
            if flow.decided:
                break
        return outcome

    def _judge(
        self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, client: bytes, server: bytes
    ) -> Outcome:
        """Recognise what has been assembled so far, and try the rules on it."""
        recognition = recognise_tcp(client, server, flow.sport if flow.swapped else flow.dport, self._tolerance)
        if recognition.more_server and not self._reads_answers:
            recognition.more_server = False  # no certificate will ever come to its eyes
        flow.inspected += 1
        last = (0 < flow.limit <= flow.inspected) or len(client) >= self._bytes
        if self._every_request and flow.protocol == "http" and recognition.protocol in _NAMELESS:
            if not recognition.more:
                recognition = _HTTP_BODY
        elif not flow.reported:
            _remember(flow, recognition)
        if flow.inspected < self._least and not last and recognition.protocol == "unknown":
            recognition = STILL_UNKNOWN
        rules = self.rules
        if flow.rule < rules.count:
            index = rules.match(flow, recognition, client, server, side, now, last)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
            if index == OPEN:
                return self._consider_giving_up(flow, recognition, packet)
        elif self.classify and not last and _unsettled(recognition):
            return FORWARD
        if not last:
            if self._gives_up or self._gives_up_over or self._gives_up_clean:
                outcome = self._consider_giving_up(flow, recognition, packet)
                if flow.decided or flow.given_up:
                    return outcome
            if not self.tcb.assembles and (recognition.protocol in _NAMELESS or not rules.sees(recognition, flow)):
                rules.begin(flow, now)
                return FORWARD
            if self._every_request and recognition.protocol == "http":
                self._next_request(flow, now)
                return FORWARD
        return self._let_pass(flow)

    def _consider_giving_up(self, flow: Flow, recognition: Recognition, packet: Packet) -> Outcome:
        """Some boxes lose interest over the first payload they do not know, others over the first harmless request."""
        unknown = recognition.protocol == "unknown" or not self.rules.sees(recognition, flow)
        if unknown and not recognition.more:
            if self._gives_up or 0 < self._gives_up_over < packet.end - packet.payload:
                return self._give_up(flow)
        elif self._gives_up_clean and recognition.protocol in ("http", "tls"):
            return self._give_up(flow)
        return FORWARD

    def _give_up(self, flow: Flow) -> Outcome:
        flow.given_up = True
        if self.classify:
            # The box looks away; who reads a file still wants to know what it was.
            flow.rule = self.rules.count
            return FORWARD
        return self._let_pass(flow)

    def _next_request(self, flow: Flow, now: float) -> None:
        """Forget the request that passed, so that the next one on the connection is judged."""
        if flow.decided_at == 0:
            flow.decided_at = self.packets
        for stream in (flow.client, flow.server):
            if stream is not None and stream.known:
                stream.start(stream.next_seq)
        self.rules.begin(flow, now)

    def _udp(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        if from_opener:
            if flow.client_ttl == 0:
                flow.client_ttl = packet.ttl
        elif flow.server_ttl == 0:
            flow.server_ttl = packet.ttl
        rules = self.rules
        if flow.rule < rules.count:
            index = rules.match_headers(flow, side, now)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        if packet.end <= packet.payload or 0 <= self._only_side != side:
            return FORWARD
        if (self.tcb.client_only and not from_opener) or (self.tcb.server_only and from_opener):
            return FORWARD
        if flow.udp is None:
            flow.udp = UdpRecogniser(self._tolerance)
        data = packet.data
        recognition = flow.udp.feed(data, from_opener, flow.dport)
        flow.inspected += 1
        if not flow.reported:
            _remember(flow, recognition)
        if recognition.protocol == "dns":
            return self._dns(flow, recognition, packet, from_opener, side, now)
        last = 0 < self._datagrams <= flow.inspected
        if flow.rule < rules.count:
            index = rules.match(flow, recognition, data, b"", side, now, last)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
            if index == OPEN:
                return FORWARD
        elif self.classify and not last and recognition.more:
            return FORWARD
        return self._let_pass(flow)

    def _dns(
        self, flow: Flow, recognition: Recognition, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Outcome:
        """Every query is judged by itself: resolvers ask for many names from one port."""
        if not from_opener and flow.verdict is None:
            return FORWARD
        self.rules.begin(flow, now)
        index = self.rules.match(flow, recognition, packet.data, b"", side, now, True)
        if index < 0:
            if flow.decided_at == 0:
                flow.decided_at = self.packets
            return FORWARD
        first = not flow.reported
        outcome = self._decide(flow, index, packet, from_opener, side, now)
        flow.decided = False
        return outcome if first else Outcome(outcome.forward, outcome.replacement, outcome.inject)

    def _other(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        recognition = Recognition(flow.protocol)
        if flow.rule < self.rules.count:
            index = self.rules.match(flow, recognition, packet.data, b"", side, now, True)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        return self._let_pass(flow)

    # -- deciding ---------------------------------------------------------------------------------------------------

    def _decide(self, flow: Flow, index: int, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        """A rule matched: settle the connection, and act on this packet."""
        matcher = self.rules.matchers[index]
        verdict = matcher.rule.verdict
        if verdict.action is Action.BLOCK:
            verdict = self.profile.verdict_for(flow.protocol)
        flow.rule = index
        flow.matched = index
        self.by_rule[matcher.name] += 1
        if verdict.action is Action.PASS:
            return Outcome(True, decision=self._decide_pass(flow, matcher.name))
        flow.verdict = verdict
        decision = self._settle(flow, matcher.name)
        residual = verdict.residual
        if residual is not None:
            flow.punishment = self.punishments.add(
                verdict, index, flow.src, flow.sport, flow.dst, flow.dport, flow.proto, now
            )
        forward, replacement, inject = self.actor.strike(flow, verdict, packet, from_opener, side, now)
        return Outcome(forward or self.on_path, replacement, inject, decision)

    def _let_pass(self, flow: Flow) -> Outcome:
        decision = self._decide_pass(flow, None)
        return FORWARD if decision is None else Outcome(True, decision=decision)

    def _decide_pass(self, flow: Flow, rule: str | None = None) -> Decision | None:
        flow.verdict = None
        return self._settle(flow, rule)

    def _settle(self, flow: Flow, rule: str | None) -> Decision | None:
        flow.decided = True
        flow.decided_at = self.packets
        verdict = flow.verdict
        name = "pass" if verdict is None else verdict.action.value
        self.by_verdict[name] = self.by_verdict.get(name, 0) + 1
        self.by_protocol[flow.protocol] = self.by_protocol.get(flow.protocol, 0) + 1
        flow.app = self.apps.app_of(flow.recognition, flow.dst, flow.dport)
        flow.recognition = None
        flow.client = None
        flow.server = None
        flow.udp = None
        if self.born is not None or flow.reported or flow.proto not in (TCP, UDP):
            # On files nobody waits for it; what has no ports no flow rule can single out, so it stays in the box.
            flow.reported = True
            return None
        flow.reported = True
        return make_decision(flow, verdict, rule)

    # -- after the decision -----------------------------------------------------------------------------------------

    def _enforce(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        verdict = flow.verdict
        if verdict is None:
            return FORWARD
        forward, replacement, inject = self.actor.again(flow, verdict, packet, from_opener, side, now)
        if not inject and replacement is None:
            return FORWARD if forward or self.on_path else DROP
        return Outcome(forward or self.on_path, replacement, inject)

    def _end_of_decided(self, flow: Flow, packet: Packet, from_opener: bool) -> None:
        """Only the table's size depends on it: a connection that passes is over at its reset or second FIN."""
        if packet.flags & RST:
            flow.state = CLOSED
        else:
            flow.fins |= 1 if from_opener else 2
            if flow.fins == 3:
                flow.state = CLOSED

    def _punished(self, packet: Packet, key: bytes, side: int, now: float) -> Outcome | None:
        """What residual censorship does to this packet; None if it has nothing to do with it."""
        proto = packet.proto
        if proto != TCP and proto != UDP:
            return None
        found = self.punishments.find(packet, now)
        if found is None:
            return None
        flow = self.table.flows.get(key) or self.table.flows.get(reverse_key(packet))
        decision: Decision | None = None
        if flow is None or flow.punishment is not found:
            if flow is None:
                flow = new_flow(packet, key, side, now)
                self.table.flows[flow.key] = flow
                if self.born is not None:
                    self.born.append(flow)
            flow.punishment = found
            flow.verdict = found.verdict
            flow.rule = found.rule
            flow.matched = found.rule
            decision = self._settle(flow, self.rules.matchers[found.rule].name)
        from_opener = flow.src == packet.src and flow.sport == packet.sport
        if side < 0:
            side = flow.opener if from_opener else 1 - flow.opener
        flow.last = now
        flow.packets += 1
        if found.after > 0:
            found.after -= 1
            return Outcome(True, decision=decision)
        by_client = packet.src == found.client
        if (found.directions == "client" and not by_client) or (found.directions == "server" and by_client):
            return Outcome(True, decision=decision)
        forward, replacement, inject = self.actor.punish(flow, found.verdict, packet, from_opener, side, now)
        return Outcome(forward or self.on_path, replacement, inject, decision)


def _unsettled(recognition: Recognition) -> bool:
    return recognition.more or (recognition.more_server and recognition.host is None)


def _remember(flow: Flow, recognition: Recognition) -> None:
    """Keep the best that was recognised so far."""
    if recognition.protocol != "unknown" or flow.recognition is None:
        flow.recognition = recognition
        flow.protocol = recognition.protocol
        if recognition.host is not None:
            flow.host = recognition.host
