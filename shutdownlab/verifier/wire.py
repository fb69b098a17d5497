"""The network between the two ends of a connection, with the switches and DPI boxes on the path. Pure.

Decisions by headers are computed once per direction, because switches keep no state of connections. If a DPI box is on
the path, every packet goes through its engine as real octets.
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
"""The client port of a measurement's first connection; each further connection has the next one."""


class Undecided(Exception):
    """Raised if the model cannot decide an outcome; the message says what it depends on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a packet was lost: at a switch by a rule, in a DPI box, or at a router without a way on."""

    at: str
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A decision of an operator's DPI box. packet: the number of the connection's packet that caused it, from 1."""

    operator: str
    decision: Decision
    packet: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A segment that arrived at an end of the connection. `injected`: whether a DPI box sent it."""

    at_client: bool
    segment: Segment
    injected: bool = False


@dataclass(frozen=True, slots=True)
class _Plain:
    """The fate of all packets from one end: where they are lost, and whether they arrive."""

    stops: tuple[Stop, ...]
    arrives: bool


@dataclass(slots=True)
class ModelledConnection:
    """The network as one connection uses it.

    stream: the connection as its client sends it.
    client: the client's node.
    server: the server's node; None if no host has the address.
    now: seconds since the measurement began.
    stops: where packets were lost, in order.
    seen: the decisions of DPI boxes, in order.
    reached: whether any packet of the client has arrived at the server.
    answered: whether any packet of the server has arrived at the client.
    counted_out: the border router's count that the client has exceeded, or None.
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
        """Returns the path from the client to the server (`by_client`), or back."""
        if (known := self._ways.get(by_client)) is None:
            sender = self.client if by_client else self.server or self.client
            known = self.country.ways.between(sender, self.stream.server if by_client else self.stream.client)
            self._ways[by_client] = known
        return known

    @property
    def beyond(self) -> FiveTuple:
        """The connection beyond the client's border router, which may translate the client's address."""
        if self._beyond is None:
            network, self._beyond = self.country.network, self.stream
            vantage = network.nodes[self.client].vantage
            if (
                vantage is not None
                and vantage.shared is not None
                and self.stream.version == 4
                and self.stream.client != str(network.probed_address(vantage.id, 4))  # which is in front of the NAT
            ):
                self._beyond = replace(self.stream, client=str(vantage.shared))
        return self._beyond

    @property
    def outer(self) -> FiveTuple | None:
        """The tunnel to a roaming client's home, which is what the country sees; None if the client does not roam."""
        vantage = self.country.network.nodes[self.client].vantage
        if vantage is None or not vantage.bearers:
            return None
        bearer = vantage.bearers[0]
        return FiveTuple(UDP, str(bearer.outer), str(bearer.end), gtp.PORT, gtp.PORT)

    @property
    def is_translated(self) -> bool:
        """Whether it is an IPv4 connection over an IPv6-only line of its client."""
        vantage = self.country.network.nodes[self.client].vantage
        return vantage is not None and vantage.nat64 is not None and self.stream.version == 4

    def seen_by(self, crossing: Crossing, stream: FiveTuple | None = None) -> FiveTuple:
        """Returns a connection (`stream`, or this one) as it appears at a switch.

        That is the tunnel, for roaming clients; untranslated at the access switches of the client's operator,
        translated by its border router elsewhere; and IPv6 on an IPv6-only line.
        """
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
        """Returns the steps at every switch on the path, even after one that drops: boxes inject packets in between."""
        if by_client not in self._steps:
            way, stream, known = self.way(by_client), self.stream, self.country.equipment.steps
            # The kernel chooses ephemeral ports, and no rule of a switch distinguishes them.
            port = min(stream.client_port, EPHEMERAL)
            switches = tuple([self.country.switch(crossing.switch) for crossing in way.crossings])
            key = switches, way.number, stream.proto, stream.client, stream.server, port, stream.server_port, by_client
            if key not in known:
                known[key] = tuple(self._walk(way, switches, port, by_client))
            self._steps[by_client] = known[key]
        return self._steps[by_client]

    def _walk(self, way: Way, switches: tuple[PaperSwitch, ...], port: int, by_client: bool) -> Iterator[SwitchStep]:
        """Yields the steps; `port`: the client's. Addresses may change at the client's border router."""
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
        """The lowest rate of the meters on the path to the client (kbit/s); None if there are none."""
        rates = [step.fate.rate for step in self.steps(False) if step.fate.rate is not None]
        rates += [
            seen.decision.rate_down_kbit
            for seen in self.seen
            if seen.decision.flow_rule == "meter" and seen.decision.rate_down_kbit is not None
        ]
        return min(rates, default=None)

    @property
    def slowing_lines(self) -> tuple[str, ...]:
        """The policies that degrade the lines at its ends."""
        nodes = self.country.network.nodes
        ends = [nodes[name].vantage for name in (self.client, self.server) if name is not None and name in nodes]
        return tuple(name for end in ends if end is not None for name in self.country.line_of(end).policies)

    @property
    def inspected(self) -> bool:
        """Whether packets are steered to any DPI box."""
        if self._inspected is None:
            self._inspected = any(step.box for way in (True, False) for step in self.steps(way))
        return self._inspected

    @property
    def passes(self) -> bool:
        """Whether packets pass in both directions, as far as headers decide."""
        ways = (True, False)
        return not any(self.rejected(way) or any(step.fate.dropped for step in self.steps(way)) for way in ways)

    def rejected(self, by_client: bool) -> Rejected | None:
        """Returns the rule by which the sending subscriber's border router rejects packets, or None."""
        if by_client not in self._rejected:
            stream = self._at_border if by_client else self.stream
            self._rejected[by_client] = self.country.borders.rejected(self.way(by_client), stream, by_client)
        return self._rejected[by_client]

    def dropped_at_border(self, by_client: bool) -> AtBorder | None:
        """Returns the rule by which the sending subscriber's border router drops packets, with an answer or not."""
        return self.rejected(by_client) or (self.counted_out if by_client else None)

    @property
    def _at_border(self) -> FiveTuple:
        """The connection as it arrives at the client's border router."""
        return self.outer or self.stream

    @property
    def counted(self) -> Counted | None:
        """The rule by which the client's border router counts the client's packets, or None."""
        return (
            self.country.borders.counted(self.way(True), self._at_border) if self.country.equipment.counting else None
        )

    @property
    def catching(self) -> Counted | None:
        """The rule by which the border router drops these packets once the client has exceeded its count, or None."""
        return (
            self.country.borders.catching(self.way(True), self._at_border) if self.country.equipment.counting else None
        )

    @property
    def refusal(self) -> Rejection | None:
        """The border router's answer to a rejected packet of the client; None if none reaches the client."""
        rejected = self.rejected(True)
        if rejected is None or self.steps(True)[0].fate.dropped or self.outer is not None:
            return None  # for a roaming client, the answer goes to the sender of the tunnel's packets
        here = self.way(True).crossings[0]
        back = Crossing(here.switch, here.onwards, here.port, here.target, here.source)
        answer = rejected.answer if self.stream.proto == TCP else Rejection.ICMP
        stream = self.stream
        if answer is Rejection.ICMP:
            stream = self._error_of(
                self.country.network.one(Role.BORDER, self.country.network.nodes[self.client].owner), self.stream.client
            )
        seen = self.seen_by(back, stream)
        fate = self.country.switch(here.switch).run(seen.fields(by_client=False) | back.fields)
        return None if fate.dropped else answer

    def icmp_reaches_sender(self, router: str, *, client: bool = True) -> bool:
        """Whether a router's ICMP errors about packets of the client (else the server) reach their sender.

        They report that there is no route, or that a packet is too long.
        """
        sender, address = (self.client, self.stream.client) if client else (self.server, self.stream.server)
        if sender is None or not self.country.ways.between(router, address).arrives:
            return False
        error = self._error_of(self.country.network.nodes[router], address)
        errors = ModelledConnection(self.country, error, sender, router, self.chances, self.now)
        return any(arrival.at_client for arrival in errors.send(Segment(), by_client=False))

    def _error_of(self, router: Node, sender: str) -> FiveTuple:
        """Returns the stream of a router's ICMP errors about packets from an address."""
        version = self.stream.version
        own, kind = self.country.ways.own_address(router.name, sender), UNREACHABLE[version]
        return FiveTuple(icmp_of(version), sender, own, kinds=(kind, kind))

    @property
    def intercepted(self) -> bool:
        """Whether a DPI box's TLS proxy has intercepted the connection."""
        return any(seen.decision.action == "intercept" for seen in self.seen)

    def send(self, segment: Segment, *, by_client: bool) -> list[Arrival]:
        """Sends a segment from one end; returns what arrives at either end because of it, in order."""
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
        """Returns the fate of all packets from one end; None if it may depend on the packet or on DPI boxes' state."""
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
        """Carries a packet through the steps, and yields what arrives at either end.

        passed: the number of routers before each step, and before the end, as in `Way.passed`.
        ttl: the packet's TTL before the first of these routers.
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
        """Returns a packet as a DPI box reads it; `inside`: whether it is in a tunnel there."""
        plain = self.beyond.frame(segment, by_client=by_client, ttl=ttl)
        if not inside or (outer := self.outer) is None:
            return plain
        vantage = self.country.network.nodes[self.client].vantage
        assert vantage is not None
        return outer.frame(Segment(gtp.wrapped(vantage.bearers[0].teid, plain[LINK_HEADER:])), by_client=by_client)

    def _at_box(self, box: Box, step: SwitchStep) -> FiveTuple:
        """Returns the connection by which a box keys its state: the tunnel, if the box does not look into tunnels."""
        hides = step.crossing.tunnelled and not box.profile.ip.tunnels
        return self.outer or self.beyond if hides else self.beyond

    @staticmethod
    def _in_tunnel(box: Box, outcome: FrameOutcome) -> FrameOutcome:
        """Returns the effective outcome for a packet inside a tunnel.

        What a box that does not look into tunnels injects is left out: the tunnel's ends ignore it. For a box that
        looks into tunnels, raises `Undecided` if it would do anything but forward or drop.
        """
        if not box.profile.ip.tunnels:
            return FrameOutcome(outcome.forward, decision=outcome.decision)
        metered = outcome.decision is not None and outcome.decision.flow_rule == "meter"
        if outcome.inject or outcome.replacement is not None or metered:
            raise Undecided("what a DPI box that looks into tunnels does other than dropping their packets")
        return outcome

    def _is_remembered(self, step: SwitchStep, by_client: bool) -> bool:
        """Whether a DPI switch drops a packet that is not steered to its box, because of a residual block."""
        operator = self.country.remembering.get(step.crossing.switch)
        if operator is None or not (box := self.country.box(operator)).left:
            return False
        recalled = list(box.recall(self._at_box(box, step), self.country.local_time + self.now))
        return any(left.stops(by_client=by_client) for left in recalled)

    def _back_from(self, step: SwitchStep, by_client: bool) -> tuple[tuple[SwitchStep, ...], tuple[int, ...]]:
        """Returns the steps from a box's switch back to the packet's sender, and the routers passed before each."""
        back, passed = self.steps(not by_client), self.way(not by_client).passed
        places = [place for place, other in enumerate(back) if other.crossing.switch == step.crossing.switch]
        return (back[places[0] :], passed[places[0] :]) if places else ((), (0, 0))
