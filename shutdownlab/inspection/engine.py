"""The inspection engine: a frame and the time in, what to do with it out. No I/O, no clock, no exceptions on any input.

One engine is one box: a policy (what is blocked), a profile (how the box parses and reacts) and its flow table.
"""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files

from shutdownlab.inspection.acting import Actor
from shutdownlab.inspection.catalogue import AppCatalogue
from shutdownlab.inspection.flow import CLOSED, ESTABLISHED, Flow
from shutdownlab.inspection.fragments import Fragments
from shutdownlab.inspection.matching import NO, WAIT, AppLookup, Matcher, address_text
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, TCP, UDP, Packet, decode
from shutdownlab.inspection.policy import InspectionPolicy, Verdict
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognition import Recognition, UdpRecogniser, recognise_tcp
from shutdownlab.inspection.residual import Punishments
from shutdownlab.inspection.tcb import CLIENT, NOTHING, Tcb
from shutdownlab.inspection.verdict import Action, Decision, Injection, Outcome, Residual, Side

__all__ = ["Action", "Decision", "Engine", "Injection", "Outcome", "Residual", "Side"]

FORWARD = Outcome(True)
"""Shared, never changed: the frame goes on and nothing else happens."""
DROP = Outcome(False)
SWEEP_EVERY = 5.0
"""Seconds between looks through the whole flow table for what has timed out."""

_PROTO_BYTE = [bytes((number,)) for number in range(256)]
_IP_PROTOCOLS = {1: "icmp", 2: "igmp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6", 89: "ospf", 132: "sctp"}
_UNKNOWN = Recognition("unknown")
_NAMELESS = ("unknown", "fet")
_STILL_UNKNOWN = Recognition("unknown", None, True)


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
        every = (*policy.rules, *profile.rules)
        self.rules = [Matcher(rule, index, policy) for index, rule in enumerate(every)]
        self.flows: dict[bytes, Flow] = {}
        self.born: list[Flow] | None = None
        """Every new connection is appended, if this is set to a list."""
        self.tcb = Tcb(profile, rng)
        self.fragments = Fragments(profile.ip)
        self.punishments = Punishments()
        self.on_path = profile.placement == "on-path"
        self.actor = Actor(rng, self.on_path)
        self.packets = 0
        self.malformed = 0
        self.disbelieved = 0
        """Packets that failed the profile's validation."""
        self.overload_open = 0
        self.overload_closed = 0
        self.by_rule: dict[str, int] = {matcher.name: 0 for matcher in self.rules}
        self.by_verdict: dict[str, int] = {}
        self.by_protocol: dict[str, int] = {}
        self._swept = 0.0
        self._openers = {"any": -1, "inside": 0, "outside": 1}[profile.opener]
        self._only_side = {None: -1, "outbound": 0, "inbound": 1}[profile.only_direction]
        self._visible = frozenset(profile.protocols)
        self._budget_packets = profile.budget.packets
        self._budget_bytes = profile.budget.bytes
        self._least = profile.budget.least
        self._assembles = self.tcb.assembles

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
        over = [key for key, flow in self.flows.items() if self._is_over(flow, now)]
        for key in over:
            del self.flows[key]
        return len(over) + self.punishments.expire(now) + self.fragments.expire(now)

    @property
    def counters(self) -> dict[str, object]:
        """Everything counted so far, as plain data."""
        return {
            "profile": self.profile.name,
            "packets": self.packets,
            "flows": len(self.flows),
            "punished": len(self.punishments.by_key),
            "malformed": self.malformed,
            "disbelieved": self.disbelieved,
            "fragments_given_up": self.fragments.given_up,
            "overload_open": self.overload_open,
            "overload_closed": self.overload_closed,
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
        l4 = packet.l4
        frame = packet.frame
        if proto in (TCP, UDP):
            key = packet.src + packet.dst + frame[l4 : l4 + 4] + _PROTO_BYTE[proto]
        else:
            key = packet.src + packet.dst + _PROTO_BYTE[proto]
        if self.punishments.by_key:
            outcome = self._punished(packet, key, side, now)
            if outcome is not None:
                return outcome
        flow = self.flows.get(key)
        from_opener = True
        if flow is None:
            if proto in (TCP, UDP):
                reverse = packet.dst + packet.src + frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2] + _PROTO_BYTE[proto]
            else:
                reverse = packet.dst + packet.src + _PROTO_BYTE[proto]
            flow = self.flows.get(reverse)
            from_opener = False
        if flow is not None and (self._is_over(flow, now) or self._is_anew(flow, packet)):
            del self.flows[flow.key]
            if flow.client_syn < 0 and flow.inspected == 0 and not flow.decided:
                flow.packets = 0  # nothing but what its successor is too: no connection to keep a record of
            flow = None
        decision: Decision | None = None
        believed = False
        if flow is None:
            believed = True
            flow = self._create(packet, key, side, now, trusted)
            if flow is None:
                return DROP if self._closed_to(packet) else FORWARD
            from_opener = flow.src == packet.src and flow.sport == packet.sport
            if flow.rule >= len(self.rules) and not self.classify:
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
            if not believed and not self.tcb.believes(packet, flow, from_opener != flow.swapped, trusted):
                self.disbelieved += 1
                return FORWARD
            return self._tcp(flow, packet, from_opener, side, now, segment)
        if proto == UDP:
            if not believed and not self.tcb.believes(packet, flow, from_opener, trusted):
                self.disbelieved += 1
                return FORWARD
            return self._udp(flow, packet, from_opener, side, now)
        return self._other(flow, packet, from_opener, side, now)

    def _fragment(self, packet: Packet, side: int, now: float) -> Outcome:
        model = self.profile.ip
        hold = model.hold and not self.on_path
        if model.fragments == "ignore" and not hold:
            return FORWARD
        if model.fragments == "drop" and not self.on_path:
            return DROP
        whole, held = self.fragments.add(packet, now)
        if whole is None:
            return DROP if hold else FORWARD
        outcome = FORWARD
        if model.fragments == "reassemble":
            self.packets -= 1
            outcome = self.inspect(whole, side, now, False, 0)
        if not hold or not outcome.forward:
            return outcome
        towards = Side.OUTSIDE if side <= 0 else Side.INSIDE
        released = tuple([Injection(towards, frame) for frame in held[:-1]])
        return Outcome(True, outcome.replacement, outcome.inject + released, outcome.decision)

    def _is_over(self, flow: Flow, now: float) -> bool:
        idle = now - flow.last
        table = self.profile.table
        if flow.proto != TCP:
            return idle > table.udp_timeout
        if flow.state == CLOSED:
            return idle > table.closed_timeout
        if flow.state == ESTABLISHED or flow.decided:
            return idle > table.established_timeout
        return idle > table.syn_timeout

    def _is_anew(self, flow: Flow, packet: Packet) -> bool:
        """A SYN that starts another connection between the same ports, or the first packet after a punishment's end."""
        if flow.punishment is not None:
            return True
        if flow.proto != TCP or packet.flags & (SYN | ACK | RST) != SYN:
            return False
        if flow.state == CLOSED:
            return packet.seq != flow.client_syn or self.tcb.model.rst == "teardown"
        if flow.client_syn < 0:
            if flow.decided and flow.given_up:
                flow.client_syn = packet.seq
                return False
            if packet.src != flow.src and flow.inspected == 0:
                # What came before the SYN had it the wrong way round; boxes that can be turned stay so.
                model = self.tcb.model
                return model.client_syn_ack != "swap" and model.server_syn != "swap"
        return flow.decided and flow.verdict is None and packet.seq != flow.client_syn

    def _closed_to(self, packet: Packet) -> bool:
        return (
            not self.on_path and self.profile.table.overload == "closed" and len(self.flows) >= self.profile.table.flows
        )

    def _create(self, packet: Packet, key: bytes, side: int, now: float, trusted: bool) -> Flow | None:
        """State for a new connection; None where the box makes none."""
        proto = packet.proto
        tcb = self.tcb
        if proto == TCP and self.born is None and not tcb.may_create(packet):
            return None
        if proto in (TCP, UDP) and not tcb.believes(packet, None, True, trusted):
            self.disbelieved += 1
            return None
        table = self.profile.table
        if len(self.flows) >= table.flows:
            self._swept = now - SWEEP_EVERY
            self.expire(now)
            if len(self.flows) >= table.flows:
                if table.overload == "closed":
                    self.overload_closed += 1
                else:
                    self.overload_open += 1
                return None
        flow = new_flow(packet, key, side, now)
        if proto == TCP and not tcb.may_create(packet):
            flow.tracked = False
        low, high = self._budget_packets
        flow.limit = low if low == high else self.rng.randint(low, high)
        if self._openers >= 0 and flow.opener != self._openers:
            flow.rule = len(self.rules)
        else:
            self._skip_rules(flow, now)
        self.flows[flow.key] = flow
        if self.born is not None:
            self.born.append(flow)
        return flow

    def _skip_rules(self, flow: Flow, now: float) -> None:
        """Pass over the leading rules that this connection's headers already rule out."""
        rules = self.rules
        count = len(rules)
        index = flow.rule
        while index < count and not rules[index].test_headers(flow, now, self.rng):
            index += 1
        flow.rule = index

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
            self._turn(flow, now)
        if flow.rule < len(self.rules):
            index = self._match(flow, None, b"", b"", side, now, False)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        if flow.given_up:
            return self._give_up(flow)
        if what == NOTHING:
            return FORWARD
        if 0 <= self._only_side != side:
            return FORWARD
        if not self._assembles or flow.client is None or flow.server is None:
            return self._single(flow, packet, from_opener, what == CLIENT, side, now, segment)
        return self._judge(flow, packet, from_opener, side, now, flow.client.data, flow.server.data)

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
        recognition = recognise_tcp(client, server, flow.sport if flow.swapped else flow.dport)
        flow.inspected += 1
        last = (0 < flow.limit <= flow.inspected) or len(client) >= self._budget_bytes
        self._remember(flow, recognition)
        if flow.inspected < self._least and not last and recognition.protocol == "unknown":
            recognition = _STILL_UNKNOWN
        if flow.rule < len(self.rules):
            index = self._match(flow, recognition, client, server, side, now, last)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
            if index == -2 and not last:
                return self._consider_giving_up(flow, recognition, packet)
        elif self.classify and not last and _unsettled(recognition):
            return FORWARD
        if not last:
            outcome = self._consider_giving_up(flow, recognition, packet)
            if flow.decided:
                return outcome
            if not self._assembles and (recognition.protocol in _NAMELESS or not self._sees(recognition, flow)):
                flow.rule = 0
                self._skip_rules(flow, now)
                return FORWARD
            if self.profile.budget.every_request and recognition.protocol == "http":
                self._next_request(flow, now)
                return FORWARD
        return Outcome(True, decision=self._decide_pass(flow))

    def _consider_giving_up(self, flow: Flow, recognition: Recognition, packet: Packet) -> Outcome:
        budget = self.profile.budget
        unknown = recognition.protocol == "unknown" or not self._sees(recognition, flow)
        if unknown and not recognition.more:
            size = packet.end - packet.payload
            if budget.give_up_unrecognised or 0 < budget.give_up_unrecognised_over < size:
                return self._give_up(flow)
        elif budget.give_up_clean and recognition.protocol in ("http", "tls"):
            return self._give_up(flow)
        return FORWARD

    def _give_up(self, flow: Flow) -> Outcome:
        flow.given_up = True
        if self.classify:
            # The box looks away; who reads a file still wants to know what it was.
            flow.rule = len(self.rules)
            return FORWARD
        return Outcome(True, decision=self._decide_pass(flow))

    def _next_request(self, flow: Flow, now: float) -> None:
        """Forget the request that passed, so that the next one on the connection is judged."""
        for stream in (flow.client, flow.server):
            if stream is not None and stream.known:
                stream.start(stream.next_seq)
        flow.rule = 0
        self._skip_rules(flow, now)

    def _turn(self, flow: Flow, now: float) -> None:
        """The box has swapped the ends: who opened the connection has changed for it too."""
        opener = 1 - flow.opener if flow.swapped else flow.opener
        if self._openers >= 0 and opener != self._openers:
            flow.rule = len(self.rules)

    def _udp(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        if from_opener:
            if flow.client_ttl == 0:
                flow.client_ttl = packet.ttl
        elif flow.server_ttl == 0:
            flow.server_ttl = packet.ttl
        if flow.rule < len(self.rules):
            index = self._match(flow, None, b"", b"", side, now, False)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        if packet.end <= packet.payload or 0 <= self._only_side != side:
            return FORWARD
        if (self.tcb.client_only and not from_opener) or (self.tcb.server_only and from_opener):
            return FORWARD
        if flow.udp is None:
            flow.udp = UdpRecogniser()
        data = packet.data
        recognition = flow.udp.feed(data, from_opener, flow.dport)
        flow.inspected += 1
        self._remember(flow, recognition)
        if recognition.protocol == "dns":
            return self._dns(flow, recognition, packet, from_opener, side, now)
        limit = self.profile.budget.datagrams
        last = 0 < limit <= flow.inspected
        if flow.rule < len(self.rules):
            index = self._match(flow, recognition, data, b"", side, now, last)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
            if index == -2 and not last:
                return FORWARD
        elif self.classify and not last and recognition.more:
            return FORWARD
        return Outcome(True, decision=self._decide_pass(flow))

    def _dns(
        self, flow: Flow, recognition: Recognition, packet: Packet, from_opener: bool, side: int, now: float
    ) -> Outcome:
        """Every query is judged by itself: resolvers ask for many names from one port."""
        if not from_opener and flow.verdict is None:
            return FORWARD
        flow.rule = 0
        if self._openers >= 0 and flow.opener != self._openers:
            return FORWARD
        index = self._match(flow, recognition, packet.data, b"", side, now, True)
        if index < 0:
            if flow.decided_at == 0:
                flow.decided_at = self.packets
            return FORWARD
        first = not flow.reported
        outcome = self._decide(flow, index, packet, from_opener, side, now)
        flow.decided = False
        return outcome if first else Outcome(outcome.forward, outcome.replacement, outcome.inject)

    def _other(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        flow.protocol = _IP_PROTOCOLS.get(packet.proto, "unknown")
        recognition = Recognition(flow.protocol)
        if flow.rule < len(self.rules):
            index = self._match(flow, recognition, packet.data, b"", side, now, True)
            if index >= 0:
                return self._decide(flow, index, packet, from_opener, side, now)
        return Outcome(True, decision=self._decide_pass(flow))

    # -- rules ------------------------------------------------------------------------------------------------------

    def _sees(self, recognition: Recognition, flow: Flow) -> bool:
        """Whether this box recognises that protocol, on this port."""
        visible = self._visible
        if visible and recognition.protocol not in visible:
            return False
        ports = self.profile.ports.get(recognition.protocol)
        if ports is None:
            return True
        name = "tcp" if flow.proto == TCP else "udp"
        return any(item.contains(name, flow.dport) for item in ports)

    def _match(
        self,
        flow: Flow,
        recognition: Recognition | None,
        client: bytes,
        server: bytes,
        side: int,
        now: float,
        last: bool,
    ) -> int:
        """The first rule that matches; -1 if none will, -2 if more must be seen."""
        rules = self.rules
        index = flow.rule
        if recognition is not None and (self._visible or self.profile.ports) and not self._sees(recognition, flow):
            recognition = _STILL_UNKNOWN if recognition.more else _UNKNOWN
        while index < len(rules):
            matcher = rules[index]
            if matcher.test_headers(flow, now, self.rng):
                answer = 1
                if matcher.direction >= 0 and matcher.direction != side:
                    answer = NO if last else WAIT
                elif matcher.needs_payload:
                    if recognition is None:
                        only = matcher.apps_only and self.apps.app_of(None, flow.dst, flow.dport) in matcher.apps
                        answer = 1 if only else WAIT
                    else:
                        answer = matcher.test_payload(flow, recognition, self.apps, client, server, last)
                if answer == WAIT:
                    flow.rule = index
                    return -2
                if answer != NO:
                    return index
            index += 1
        flow.rule = index
        return -1

    def _remember(self, flow: Flow, recognition: Recognition) -> None:
        if flow.reported:
            return  # of several questions on one port, the one that was decided on is remembered
        if recognition.protocol != "unknown" or flow.recognition is None:
            flow.recognition = recognition
            flow.protocol = recognition.protocol
            if recognition.host is not None:
                flow.host = recognition.host

    def _decide(self, flow: Flow, index: int, packet: Packet, from_opener: bool, side: int, now: float) -> Outcome:
        """A rule matched: settle the connection, and act on this packet."""
        matcher = self.rules[index]
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

    def _decide_pass(self, flow: Flow, rule: str | None = None) -> Decision | None:
        if rule is None:
            flow.rule = -1
        flow.verdict = None
        return self._settle(flow, rule)

    def _settle(self, flow: Flow, rule: str | None) -> Decision | None:
        flow.decided = True
        flow.decided_at = self.packets
        verdict = flow.verdict
        action = Action.PASS if verdict is None else verdict.action
        self.by_verdict[action.value] = self.by_verdict.get(action.value, 0) + 1
        self.by_protocol[flow.protocol] = self.by_protocol.get(flow.protocol, 0) + 1
        flow.app = self.apps.app_of(flow.recognition, flow.dst, flow.dport)
        flow.recognition = None
        flow.client = None
        flow.server = None
        flow.udp = None
        if self.born is not None or flow.reported:
            flow.reported = True
            return None
        flow.reported = True
        return make_decision(flow, action, verdict, rule)

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
        flow = self.flows.get(key)
        if flow is None:
            l4 = packet.l4
            frame = packet.frame
            reverse = packet.dst + packet.src + frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2] + _PROTO_BYTE[proto]
            flow = self.flows.get(reverse)
        decision: Decision | None = None
        if flow is None or flow.punishment is not found:
            if flow is None:
                flow = new_flow(packet, key, side, now)
                self.flows[flow.key] = flow
                if self.born is not None:
                    self.born.append(flow)
            flow.punishment = found
            flow.verdict = found.verdict
            flow.rule = found.rule
            flow.matched = found.rule
            decision = self._settle(flow, self.rules[found.rule].name)
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


@cache
def shipped_apps() -> AppCatalogue:
    """The catalogue that ships with the package: what an engine uses that is given none."""
    return AppCatalogue.from_texts(((files("shutdownlab") / "apps.yaml").read_bytes(), "apps.yaml"))


def _unsettled(recognition: Recognition) -> bool:
    return recognition.more or (recognition.more_server and recognition.host is None)


def new_flow(packet: Packet, key: bytes, side: int, now: float) -> Flow:
    """A connection whose first packet this is. A SYN/ACK comes from who did not open it; else a low port serves."""
    backwards = False
    if side < 0:
        side = 0
        opened_inside = True
    else:
        opened_inside = False
    if packet.proto == TCP and packet.flags & SYN:
        backwards = packet.flags & ACK != 0
    elif packet.proto == TCP or packet.proto == UDP:
        backwards = packet.sport < packet.dport and packet.sport < 1024
    if not backwards:
        return Flow(key, packet.src, packet.sport, packet.dst, packet.dport, packet.proto, side, now)
    l4 = packet.l4
    frame = packet.frame
    key = packet.dst + packet.src + frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2] + _PROTO_BYTE[packet.proto]
    return Flow(
        key, packet.dst, packet.dport, packet.src, packet.sport, packet.proto, side if opened_inside else 1 - side, now
    )


def make_decision(flow: Flow, action: Action, verdict: Verdict | None, rule: str | None) -> Decision:
    """The decision as the controller gets it."""
    residual: Residual | None = None
    if verdict is not None and verdict.residual is not None:
        spec = verdict.residual
        residual = Residual(spec.key, spec.seconds, spec.refreshed, spec.directions)
    return Decision(
        src=address_text(flow.src),
        sport=flow.sport,
        dst=address_text(flow.dst),
        dport=flow.dport,
        proto=flow.proto,
        opener=Side.OUTSIDE if flow.opener else Side.INSIDE,
        action=action,
        rule=rule,
        protocol=flow.protocol,
        app=flow.app,
        host=flow.host,
        residual=residual,
        rate_up_kbit=verdict.rate_up if verdict is not None else None,
        rate_down_kbit=verdict.rate_down if verdict is not None else None,
        cap_bytes=verdict.cap_bytes if verdict is not None else None,
        directions=verdict.directions if verdict is not None else "both",
        in_box=_stays_in_box(flow, action, verdict),
    )


def _stays_in_box(flow: Flow, action: Action, verdict: Verdict | None) -> bool:
    if verdict is None:
        return False
    if flow.protocol == "dns" or verdict.rewrite or verdict.after_packets:
        return True
    if action in (Action.DNS, Action.FREEZE):
        return True
    return action is Action.RESET and verdict.residual is not None
