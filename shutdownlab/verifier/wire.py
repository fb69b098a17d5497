"""The network between the two ends of a connection, with the switches and DPI boxes on the way. Pure.

What headers decide is worked out once a direction: switches hold nothing of a connection. Where a DPI box is on the way
every packet goes through its engine, as the bytes that it would be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shutdownlab.compiler.counting import Counted
from shutdownlab.compiler.rejections import AtBorder, Rejected
from shutdownlab.compiler.rules import PipelineTable, Rule
from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.verdict import Decision, FrameOutcome
from shutdownlab.model.answers import Rejection
from shutdownlab.model.network import Node, Role
from shutdownlab.protocol import gtp
from shutdownlab.verifier.box import Box
from shutdownlab.verifier.chance import Chances
from shutdownlab.verifier.equipment import ModelledCountry, SwitchStep, step_at
from shutdownlab.verifier.outages import loses
from shutdownlab.verifier.packets import LINK_HEADER, TTL, UNREACHABLE, FiveTuple, Segment, icmp_of, segment_of, ttl_of
from shutdownlab.verifier.switch import Fields, PaperSwitch
from shutdownlab.verifier.ways import Crossing, Way

EPHEMERAL = 40000
"""The port of a measurement's first connection; the next has the next."""


class Undecided(Exception):
    """What cannot be worked out, and why."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a packet ended: at a switch by a rule, in a box, or because nobody has its address."""

    at: str
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What an operator's box decided of a connection, on seeing its so-manieth packet."""

    operator: str
    decision: Decision
    packet: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A segment that has come to an end. `injected`: a box has sent it."""

    at_client: bool
    segment: Segment
    injected: bool = False


@dataclass(frozen=True, slots=True)
class _Plain:
    """Where all packets of one end stop, and whether they come to the other one."""

    stops: tuple[Stop, ...]
    arrives: bool


@dataclass(slots=True)
class ModelledConnection:
    """One connection's network. `stops`: where packets ended, the last one last; `seen`: what boxes said.

    reached: something of the client's came to the server; answered: something of the server's came back. counted_out:
    by what border router's count the client's packets are too many now.
    """

    country: ModelledCountry
    stream: FiveTuple
    client: str
    server: str | None
    chances: Chances
    now: float = 0.0
    stops: list[Stop] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    reached: bool = False
    answered: bool = False
    counted_out: Counted | None = None
    _sent: int = 0
    _beyond: FiveTuple | None = None
    _ways: dict[bool, Way] = field(default_factory=dict)
    _inspected: bool | None = None
    _steps: dict[bool, tuple[SwitchStep, ...]] = field(default_factory=dict)
    _rejected: dict[bool, Rejected | None] = field(default_factory=dict)
    _plain: dict[bool, _Plain | None] = field(default_factory=dict)

    def way(self, by_client: bool) -> Way:
        """From the end that sends to the other one."""
        if (known := self._ways.get(by_client)) is None:
            sender = self.client if by_client else self.server or self.client
            known = self.country.ways.between(sender, self.stream.server if by_client else self.stream.client)
            self._ways[by_client] = known
        return known

    @property
    def beyond(self) -> FiveTuple:
        """The connection as it is beyond the client's border router, which may translate its address."""
        if self._beyond is None:
            vantage, self._beyond = self.country.network.nodes[self.client].vantage, self.stream
            if vantage is not None and vantage.shared is not None and self.stream.version == 4:
                self._beyond = replace(self.stream, client=str(vantage.shared))
        return self._beyond

    @property
    def outer(self) -> FiveTuple | None:
        """What the country sees of it, where its client roams: the tunnel to the client's home."""
        vantage = self.country.network.nodes[self.client].vantage
        if vantage is None or not vantage.bearers:
            return None
        bearer = vantage.bearers[0]
        return FiveTuple(UDP, str(bearer.outer), str(bearer.end), gtp.PORT, gtp.PORT)

    @property
    def is_translated(self) -> bool:
        """Whether it is of IPv4, and its client's line carries IPv6 alone."""
        vantage = self.country.network.nodes[self.client].vantage
        return vantage is not None and vantage.nat64 is not None and self.stream.version == 4

    def seen_by(self, crossing: Crossing, stream: FiveTuple | None = None) -> FiveTuple:
        """A connection, else this one, as it is at a switch: at the access switches of the client's operator before its
        border router translates it, and in IPv6 on a line that carries nothing else."""
        if crossing.tunnelled and (outer := self.outer) is not None:
            return outer
        nodes, stream = self.country.network.nodes, stream or self.stream
        node = nodes[crossing.switch]
        if stream is self.stream and not (node.role is Role.ACCESS_SWITCH and node.owner == nodes[self.client].owner):
            stream = self.beyond
        if node.role is not Role.ACCESS_SWITCH:
            return stream
        line = next(p for p in node.ports.values() if p.number in crossing.ports and p.purpose != "uplink")
        vantage = nodes[line.peer.node].vantage
        if vantage is None or vantage.nat64 is None or stream.version == 6:
            return stream
        return stream.as_ipv6(vantage.nat64)

    def steps(self, by_client: bool) -> tuple[SwitchStep, ...]:
        """Every switch on the way, also those behind one that drops: what boxes inject begins in between."""
        if by_client not in self._steps:
            way, stream, known = self.way(by_client), self.stream, self.country.equipment.steps
            # An ephemeral port is the kernel's choice: which of them makes no difference to switches.
            port = min(stream.client_port, EPHEMERAL)
            switches = tuple([self.country.switch(crossing.switch) for crossing in way.crossings])
            key = switches, way.number, stream.proto, stream.client, stream.server, port, stream.server_port, by_client
            if key not in known:
                known[key] = tuple(self._walk(way, switches, port, by_client))
            self._steps[by_client] = known[key]
        return self._steps[by_client]

    def _walk(self, way: Way, switches: tuple[PaperSwitch, ...], port: int, by_client: bool) -> Iterator[SwitchStep]:
        """port: the client's. Behind its border router a connection may have other addresses than beyond it."""
        known, nodes = self.country.equipment.at_switch, self.country.network.nodes
        alike: dict[FiveTuple, tuple[Fields, tuple[int | str, ...]]] = {}
        for crossing, switch in zip(way.crossings, switches, strict=True):
            seen = self.seen_by(crossing)
            if seen not in alike:
                own = seen.client_port if crossing.tunnelled else port
                fields = seen.fields(by_client=by_client, client_port=own)
                alike[seen] = fields, tuple(fields.values())
            fields, values = alike[seen]
            key = switch, crossing.port, crossing.tunnelled, values
            if (step := known.get(key)) is None:
                step = known[key] = step_at(nodes[crossing.switch], crossing, switch.run(fields | crossing.fields))
            yield step

    @property
    def kbit(self) -> int | None:
        """What the meters on the way to the client let through (kbit/s); None: there are none."""
        rates = [step.fate.rate for step in self.steps(False) if step.fate.rate is not None]
        rates += [
            seen.decision.rate_down_kbit
            for seen in self.seen
            if seen.decision.flow_rule == "meter" and seen.decision.rate_down_kbit is not None
        ]
        return min(rates, default=None)

    @property
    def slowing_lines(self) -> tuple[str, ...]:
        """The policies that make the lines at its ends worse."""
        nodes = self.country.network.nodes
        ends = [nodes[name].vantage for name in (self.client, self.server) if name is not None and name in nodes]
        return tuple(name for end in ends if end is not None for name in self.country.line_of(end).policies)

    @property
    def inspected(self) -> bool:
        """Whether a box is on the way."""
        if self._inspected is None:
            self._inspected = any(step.box for way in (True, False) for step in self.steps(way))
        return self._inspected

    @property
    def passes(self) -> bool:
        """Whether headers let packets pass both ways."""
        ways = (True, False)
        return not any(self.rejected(way) or any(step.fate.dropped for step in self.steps(way)) for way in ways)

    def rejected(self, by_client: bool) -> Rejected | None:
        """By what the border router of the subscriber who sends rejects it, where it does."""
        if by_client not in self._rejected:
            stream = self._at_border if by_client else self.stream
            self._rejected[by_client] = self.country.borders.rejected(self.way(by_client), stream, by_client)
        return self._rejected[by_client]

    def dropped_at_border(self, by_client: bool) -> AtBorder | None:
        """What has the border router of the subscriber who sends drop it, answered or not."""
        return self.rejected(by_client) or (self.counted_out if by_client else None)

    @property
    def _at_border(self) -> FiveTuple:
        """What comes of the client to its own border router."""
        return self.outer or self.stream

    @property
    def counted(self) -> Counted | None:
        """By what the border router of the client counts what it sends, where it does."""
        return (
            self.country.borders.counted(self.way(True), self._at_border) if self.country.equipment.counting else None
        )

    @property
    def catching(self) -> Counted | None:
        """By what it drops it once the client has sent too much that is counted."""
        return (
            self.country.borders.catching(self.way(True), self._at_border) if self.country.equipment.counting else None
        )

    @property
    def refusal(self) -> Rejection | None:
        """What tells the client that its border router rejects what it sends; None: nothing that comes to it."""
        rejected = self.rejected(True)
        if rejected is None or self.steps(True)[0].fate.dropped or self.outer is not None:
            return None  # who roams is not told: that is said to whoever began the tunnel
        here = self.way(True).crossings[0]
        back = Crossing(here.switch, here.onwards, here.port, here.target, here.source)
        answer = rejected.answer if self.stream.proto == TCP else Rejection.ICMP
        told = self.stream
        if answer is Rejection.ICMP:
            told = self._error_of(
                self.country.network.one(Role.BORDER, self.country.network.nodes[self.client].owner), self.stream.client
            )
        seen = self.seen_by(back, told)
        fate = self.country.switch(here.switch).run(seen.fields(by_client=False) | back.fields)
        return None if fate.dropped else answer

    def hears_of(self, router: str, *, client: bool = True) -> bool:
        """Whether the client, or else the server, gets an ICMP error that a router sends about its packets: that there
        is no way on for them, or that they are too long for it."""
        sender, address = (self.client, self.stream.client) if client else (self.server, self.stream.server)
        if sender is None or not self.country.ways.between(router, address).arrives:
            return False
        told = self._error_of(self.country.network.nodes[router], address)
        errors = ModelledConnection(self.country, told, sender, router, self.chances, self.now)
        return any(arrival.at_client for arrival in errors.send(Segment(), by_client=False))

    def _error_of(self, router: Node, sender: str) -> FiveTuple:
        """What an ICMP error of a router about packets from an address is like."""
        version = self.stream.version
        own, kind = self.country.ways.own_address(router.name, sender), UNREACHABLE[version]
        return FiveTuple(icmp_of(version), sender, own, kinds=(kind, kind))

    @property
    def intercepted(self) -> bool:
        """Whether a box's TLS proxy has taken the connection over."""
        return any(seen.decision.action == "intercept" for seen in self.seen)

    def send(self, segment: Segment, *, by_client: bool) -> list[Arrival]:
        """What comes to either end because of a segment that one end sends, in the order in which it comes."""
        self.now += 0.001
        self._sent += 1
        rejected = self.dropped_at_border(by_client)
        if rejected is None and (plain := self._plain_way(by_client)) is not None:
            self.stops += plain.stops
            if not plain.arrives:
                return []
            self.reached, self.answered = self.reached or by_client, self.answered or not by_client
            return [Arrival(not by_client, segment)]
        way, steps = self.way(by_client), self.steps(by_client)
        if rejected is not None:
            steps = steps[:1]
        arrives = way.arrives and rejected is None
        found = list(self._carry(steps, segment, by_client, way.passed, arrives=arrives))
        if rejected is not None:
            if not steps[0].fate.dropped:
                rule = Rule(PipelineTable.ACCESS_LISTS, 0, policy=rejected.policy)
                self.stops.append(Stop(way.nodes[1], rule))
        elif not way.arrives and not any(arrival.at_client is not by_client for arrival in found):
            self.stops.append(Stop(way.nodes[-1]))
        own = any(arrival.at_client is not by_client and not arrival.injected for arrival in found)
        self.reached, self.answered = self.reached or (own and by_client), self.answered or (own and not by_client)
        return found

    def _plain_way(self, by_client: bool) -> _Plain | None:
        """What becomes of every packet of one end alike; None where boxes look at each, or remember, or are broken."""
        if by_client not in self._plain:
            self._plain[by_client] = self._without_boxes(by_client)
        return self._plain[by_client]

    def _without_boxes(self, by_client: bool) -> _Plain | None:
        way = self.way(by_client)
        if self.country.remembering or way.passed[-1] >= TTL:
            return None
        nowhere = () if way.arrives else (Stop(way.nodes[-1]),)
        for step in self.steps(by_client):
            if step.fate.dropped:
                return _Plain((Stop(step.crossing.switch, step.fate.decided_by), *nowhere), arrives=False)
            if step.box:
                return None
        return _Plain(nowhere, way.arrives)

    def _carry(
        self, steps: tuple[SwitchStep, ...], segment: Segment, by_client: bool, passed: tuple[int, ...], *,
        arrives: bool, injected: bool = False, ttl: int = TTL,
    ) -> Iterator[Arrival]:  # fmt: skip
        """passed: how many routers are before each of the steps and before the end, as a way has it. ttl: what the
        packet would have before the first of them.
        """
        frame, tunnelled = b"", False
        for place, step in enumerate(steps):
            inside = step.crossing.tunnelled and self.outer is not None
            if ttl <= passed[place]:
                return
            if step.fate.dropped:
                self.stops.append(Stop(step.crossing.switch, step.fate.decided_by))
                return
            if not step.box:
                if self.country.remembering and self._is_remembered(step, by_client):
                    self.stops.append(Stop(step.crossing.switch))
                    return
                continue
            if self.country.damage and self.country.is_broken(step.box):
                if loses(self.country.network, self.country.damage, step.box, self.country.shutdown.profiles[step.box]):
                    self.stops.append(Stop(f"{step.box}-box"))
                    return
                continue
            box = self.country.box(step.box)
            if box.left:
                list(box.recall(self._at_box(box, step), self.country.local_time + self.now))
            if not frame or inside != tunnelled:
                frame = self._frame(segment, inside, by_client=by_client, ttl=ttl - passed[place])
            tunnelled = inside
            outcome = box.engine.process(frame, step.side, self.country.local_time + self.now)
            if inside:
                outcome = self._in_tunnel(box, outcome)
            if outcome.decision is not None:
                self.seen.append(Seen(box.operator, outcome.decision, self._sent))
            for injection in outcome.inject:
                ahead = injection.towards is not step.side
                onwards, routers = (steps[place:], passed[place:]) if ahead else self._back_from(step, by_client)
                yield from self._carry(
                    onwards[1:], segment_of(injection.frame), by_client == ahead, routers[1:],
                    arrives=ahead <= arrives, injected=True, ttl=ttl_of(injection.frame) + routers[0],
                )  # fmt: skip
            if not box.on_path:
                if not outcome.forward:
                    self.stops.append(Stop(f"{box.operator}-box"))
                    return
                if outcome.replacement is not None:
                    frame, segment = outcome.replacement, segment_of(outcome.replacement)
        if arrives and ttl > passed[-1]:
            yield Arrival(not by_client, segment, injected)

    def _frame(self, segment: Segment, inside: bool, *, by_client: bool, ttl: int) -> bytes:
        """A packet as a box reads it; inside: a tunnel."""
        plain = self.beyond.frame(segment, by_client=by_client, ttl=ttl)
        if not inside or (outer := self.outer) is None:
            return plain
        vantage = self.country.network.nodes[self.client].vantage
        assert vantage is not None
        return outer.frame(Segment(gtp.wrapped(vantage.bearers[0].teid, plain[LINK_HEADER:])), by_client=by_client)

    def _at_box(self, box: Box, step: SwitchStep) -> FiveTuple:
        """The connection as a box tells it from others."""
        hides = step.crossing.tunnelled and not box.profile.ip.tunnels
        return self.outer or self.beyond if hides else self.beyond

    @staticmethod
    def _in_tunnel(box: Box, outcome: FrameOutcome) -> FrameOutcome:
        """What a box does about a packet inside a tunnel. What it sends of its own comes to the tunnel's ends, which
        take nothing that is not of it. Raises `Undecided`."""
        if not box.profile.ip.tunnels:
            return FrameOutcome(outcome.forward, decision=outcome.decision)
        metered = outcome.decision is not None and outcome.decision.flow_rule == "meter"
        if outcome.inject or outcome.replacement is not None or metered:
            raise Undecided("what a DPI box that looks into tunnels does beside dropping what is in them")
        return outcome

    def _is_remembered(self, step: SwitchStep, by_client: bool) -> bool:
        """Whether a DPI switch drops what its box is not shown, for what that has caught before."""
        operator = self.country.remembering.get(step.crossing.switch)
        if operator is None or not (box := self.country.box(operator)).left:
            return False
        recalled = list(box.recall(self._at_box(box, step), self.country.local_time + self.now))
        return any(left.stops(by_client=by_client) for left in recalled)

    def _back_from(self, step: SwitchStep, by_client: bool) -> tuple[tuple[SwitchStep, ...], tuple[int, ...]]:
        """The way back from a box's switch to whoever has sent the packet, and the routers that are passed on it."""
        back, passed = self.steps(not by_client), self.way(not by_client).passed
        places = [place for place, other in enumerate(back) if other.crossing.switch == step.crossing.switch]
        return (back[places[0] :], passed[places[0] :]) if places else ((), (0, 0))
