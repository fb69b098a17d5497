"""Classifies undecided flows packet by packet, and finds the rule that matches them."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.enforcement import FORWARD, Enforcer
from shutdownlab.inspection.first_packets import Trace
from shutdownlab.inspection.flow import Flow
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.recognisers.dns import recognise_dns
from shutdownlab.inspection.recognisers.http import end_of_chunks, recognise_request
from shutdownlab.inspection.recognisers.http2 import Requests
from shutdownlab.inspection.recognisers.result import UNENDED
from shutdownlab.inspection.recognition import Recognisers, Recognition
from shutdownlab.inspection.rules import NONE, OPEN, STILL_UNKNOWN, RuleSet
from shutdownlab.inspection.tcp_tracker import CLIENT, NOTHING, TcpTracker
from shutdownlab.inspection.verdict import FrameOutcome

_HTTP_BODY: Final = Recognition("http")
_NAMELESS: Final = ("unknown", "fet")
_SEVERAL: Final = ("http", "http2", "dns", "sip")
"""Protocols whose connections carry several messages, each with its own host name."""


class Classifier:
    """Classifies the undecided flows of one box, as its profile says.

    `classify`: follow connections until they are recognised, even when no rule can match any more.
    """

    def __init__(
        self,
        profile: Profile,
        recognisers: Recognisers,
        rules: RuleSet,
        tracker: TcpTracker,
        enforcer: Enforcer,
        classify: bool,
    ) -> None:
        budget = profile.budget
        self._recognisers = recognisers
        self.rules = rules
        self.tracker = tracker
        self.enforcer = enforcer
        self.classify = classify
        self._tolerance = profile.parse
        self._only_side = {None: -1, "outbound": 0, "inbound": 1}[profile.only_direction]
        self._bytes = budget.bytes
        self._datagrams = budget.datagrams
        self._least = budget.least
        self._every_request = budget.every_request
        self._gives_up = budget.give_up_unrecognised
        self._gives_up_over = budget.give_up_unrecognised_over
        self._gives_up_unfinished = budget.give_up_unfinished
        self._traced = rules.traced
        self._reads_answers = tracker.assembles and not tracker.client_only

    # -- TCP --------------------------------------------------------------------------------------------------------

    def tcp(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, segment: int) -> FrameOutcome:
        """Classifies a TCP segment, or a segmentation-offload frame of `segment` bytes a packet (0: one packet)."""
        tracker = self.tracker
        from_client = from_opener != flow.swapped
        _remember_ttl(flow, packet, from_client)
        traced = self._traced > 0 and packet.end > packet.payload
        if traced:
            self._trace(flow, packet, from_client, segment, now)
        swapped = flow.swapped
        what = tracker.track(flow, packet, from_client)
        if flow.swapped != swapped:
            self.rules.begin(flow, now)
        rules = self.rules
        if flow.rule < rules.count:
            index = rules.match_headers(flow, side, now)
            if index >= 0:
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
        if flow.given_up:
            return self._give_up(flow)
        if what == NOTHING:
            return self._match_trace(flow, packet, from_opener, side, now) if traced else FORWARD
        if 0 <= self._only_side != side:
            return FORWARD
        if not tracker.assembles:
            found = self._single(flow, packet, from_opener, what == CLIENT, side, now, segment)
            return self.enforcer.told(flow, found)
        client = b"" if flow.client is None else flow.client.data
        server = b"" if flow.server is None else flow.server.data
        if self._answered_over_tcp(flow):
            if what != CLIENT:
                return self._match_answers(flow, packet, from_opener, side, now, server)
            if flow.decided_at and not self._every_request:
                return FORWARD  # only its answers are still inspected
        return self.enforcer.told(flow, self._match_stream(flow, packet, from_opener, side, now, client, server))

    def _trace(self, flow: Flow, packet: Packet, from_client: bool, segment: int, now: float) -> None:
        if flow.trace is None:
            flow.trace = Trace(self._traced)
        if len(flow.trace.packets) < self._traced:
            flow.trace.take(from_client, packet.data, packet.end - packet.payload, segment, now)

    def _match_trace(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> FrameOutcome:
        """Matches the rules against a packet that adds only to the trace, with what is known of the flow so far."""
        rules = self.rules
        if flow.rule < rules.count:
            known = flow.recognition or STILL_UNKNOWN
            index = rules.match(flow, known, flow.message, b"", side, now, False)
            if index >= 0:
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
        return FORWARD

    def _single(
        self, flow: Flow, packet: Packet, from_opener: bool, client: bool, side: int, now: float, segment: int
    ) -> FrameOutcome:
        """Classifies each packet by itself, as a box without reassembly does; splits an offload frame into packets."""
        data = packet.data
        if segment <= 0 or len(data) <= segment:
            parts = [data]
        else:
            parts = [data[at : at + segment] for at in range(0, len(data), segment)]
        outcome = FORWARD
        for part in parts:
            if client:
                outcome = self._match_stream(flow, packet, from_opener, side, now, part, b"")
            elif self._answered_over_tcp(flow):
                outcome = self._match_answers(flow, packet, from_opener, side, now, part)
            else:
                outcome = self._match_stream(flow, packet, from_opener, side, now, b"", part)
            if flow.decided:
                break
        return outcome

    def _answered_over_tcp(self, flow: Flow) -> bool:
        """Returns whether the server's stream holds DNS responses and some rule is about those."""
        return self.rules.about_answers and flow.protocol == "dns" and flow.inside is None

    def _match_answers(
        self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, server: bytes
    ) -> FrameOutcome:
        """Matches the rules about answers against each complete DNS response in the stream `server`."""
        rules = self.rules
        while len(server) >= 2 and len(server) >= (end := 2 + int.from_bytes(server[:2], "big")):
            recognition = recognise_dns(server[2:end], flow.dport, self._tolerance)
            server = server[end:]
            if flow.server is not None:
                flow.server.drop(end)
            if recognition is None:
                continue
            rule = flow.rule
            rules.begin(flow, now)
            index = rules.match(flow, recognition, b"", b"", side, now, True)
            if index >= 0 and rules.matchers[index].about_answers:
                _remember(flow, recognition)
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
            flow.rule = rule
        return FORWARD

    def _match_stream(
        self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float, client: bytes, server: bytes
    ) -> FrameOutcome:
        """Recognises what has been assembled so far, and matches the rules against each message in it."""
        flow.inspected += 1
        spent = 0 < flow.limit <= flow.inspected
        if flow.chunked:
            client = self._behind_chunks(flow, client)
            if not client:
                return self.enforcer.let_pass(flow) if spent else FORWARD
        while True:
            seen = client if len(client) <= self._bytes else client[: self._bytes]
            last = spent or len(seen) >= self._bytes
            recognition = self._recognise(seen, server, flow)
            length = recognition.length
            followed = 0 < length < len(client) and (recognition.preamble or self._every_request)
            if not flow.reported and recognition is not _HTTP_BODY:
                _remember(flow, recognition)
            flow.message = client[:length] if followed else seen
            outcome = self._match_message(flow, recognition, packet, from_opener, side, now, server, followed, last)
            if outcome is not None:
                return outcome
            taken = self._taken(recognition, len(flow.message)) if followed or self._every_request else 0
            client = client[taken:] if taken else b""
            if flow.chunked:
                client = self._behind_chunks(flow, client)
            if not client:
                return self.enforcer.let_pass(flow) if spent else FORWARD

    def _taken(self, recognition: Recognition, size: int) -> int:
        """Returns how many bytes of the client's stream go with a message of which `size` bytes were matched: those yet
        to arrive among them; 0 while the next one's start is unknown until this one has ended."""
        if recognition.length == UNENDED:
            return 0 if size < self._bytes else recognition.resume or size
        return recognition.length or size

    def _behind_chunks(self, flow: Flow, client: bytes) -> bytes:
        """Discards the rest of a long chunked body, as far as it has arrived; returns what follows it."""
        end, resume = end_of_chunks(client, 0)
        if end == UNENDED and (resume or len(client) < self._bytes):
            taken = resume
        else:
            flow.chunked = False
            taken = end if end > 0 else len(client)
        if flow.client is not None:
            flow.client.drop(taken)
        return b"" if flow.chunked else client[taken:]

    def _recognise(self, client: bytes, server: bytes, flow: Flow) -> Recognition:
        if not client and (flow.inside is not None or (self._every_request and flow.protocol in _SEVERAL)):
            return STILL_UNKNOWN  # between two messages: the server's answer does not tell the next one's protocol
        if flow.http2 is not None:
            recognition = recognise_request(flow.http2, client, self._tolerance)
        else:
            port = flow.sport if flow.swapped else flow.dport
            recognition = self._recognisers.tcp(client, server, port, self._tolerance)
            if recognition.protocol == "http2" and self._every_request and flow.client is not None:
                flow.http2 = Requests()
                recognition = recognise_request(flow.http2, client, self._tolerance)
        if recognition.more_server and not self._reads_answers:
            recognition.more_server = False  # this box never reads the server's certificate
        if flow.inside is not None:
            if recognition.protocol != "unknown" and recognition.variant is None:
                recognition.variant = f"in {flow.inside}"
        elif self._every_request and flow.protocol == "http" and recognition.protocol in _NAMELESS:
            return recognition if recognition.more else _HTTP_BODY
        return recognition

    def _match_message(
        self,
        flow: Flow,
        recognition: Recognition,
        packet: Packet,
        from_opener: bool,
        side: int,
        now: float,
        server: bytes,
        followed: bool,
        last: bool,
    ) -> FrameOutcome | None:
        """Matches the rules against `flow.message`.

        `followed`: another message has begun after it, so it is complete. `last`: the budget is spent. Returns None if
        no rule blocks this message and the connection's next one is to be inspected.
        """
        rules = self.rules
        settled = followed or last
        if flow.inspected < self._least and not last and recognition.protocol == "unknown":
            recognition = STILL_UNKNOWN
        if flow.rule < rules.count:
            index = rules.match(flow, recognition, flow.message, server, side, now, settled)
            if index >= 0 and (last or not self._others_follow(recognition) or not self.enforcer.spares(flow, index)):
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
            if index == OPEN:
                return self._consider_giving_up(flow, recognition, packet)
        elif self.classify and not settled and _is_open(recognition) and not self._goes_on(recognition, flow):
            flow.passed = True
            return FORWARD
        if not last:
            if self._gives_up or self._gives_up_over or self._gives_up_unfinished:
                outcome = self._consider_giving_up(flow, recognition, packet)
                if flow.decided or flow.given_up:
                    return outcome
            if not self.tracker.assembles and (
                recognition.protocol in _NAMELESS or not rules.sees(recognition.protocol, flow)
            ):
                rules.begin(flow, now)
                return FORWARD
        if self._others_follow(recognition):
            self._next_message(flow, recognition, now)
            return None
        return self.enforcer.let_pass(flow)

    def _goes_on(self, recognition: Recognition, flow: Flow) -> bool:
        """Returns whether the box inspects the next payload although no rule can match this one any more."""
        unread = recognition.protocol in _NAMELESS or not self.rules.sees(recognition.protocol, flow)
        several = self._others_follow(recognition)
        return not flow.passed and (several or (unread and not self.tracker.assembles))

    def _others_follow(self, recognition: Recognition) -> bool:
        """Returns whether what follows this message on its connection is inspected as a message of its own."""
        answered = self.rules.about_answers and recognition.protocol == "dns"
        return recognition.preamble or answered or (self._every_request and recognition.protocol in _SEVERAL)

    def _next_message(self, flow: Flow, recognition: Recognition, now: float) -> None:
        """Discards the message that passed, so that the next one on the connection is matched."""
        if flow.decided_at == 0:
            flow.decided_at = self.enforcer.packets
        if recognition.length == UNENDED and len(flow.message) < self._bytes:
            return
        if recognition.preamble:
            flow.inside = recognition.protocol
        if flow.http2 is not None:
            flow.http2.advance()
        if flow.client is not None:
            flow.client.drop(self._taken(recognition, len(flow.message)))
            flow.chunked = recognition.length == UNENDED and recognition.resume > 0 and flow.http2 is None
        if flow.server is not None and not self._answered_over_tcp(flow):
            flow.server.drop(len(flow.server.data))
        self.rules.begin(flow, now)

    def _consider_giving_up(self, flow: Flow, recognition: Recognition, packet: Packet) -> FrameOutcome:
        """Gives the flow up if the profile does so on an unrecognised payload, a long one, or an incomplete message."""
        unknown = recognition.protocol == "unknown" or not self.rules.sees(recognition.protocol, flow)
        if unknown:
            given_up = self._gives_up or 0 < self._gives_up_over < packet.end - packet.payload
            if given_up and not self.rules.awaits(recognition, flow):
                return self._give_up(flow)
        elif self._gives_up_unfinished and recognition.more:
            return self._give_up(flow)
        return FORWARD

    def _give_up(self, flow: Flow) -> FrameOutcome:
        flow.given_up = True
        if self.classify:
            # The box stops inspecting, but a capture's reader still wants the protocol.
            flow.passed = True
            flow.rule = self.rules.count
            return FORWARD
        return self.enforcer.let_pass(flow)

    # -- datagrams, and what has no ports -----------------------------------------------------------------------------

    def udp(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> FrameOutcome:
        """Classifies a UDP datagram."""
        _remember_ttl(flow, packet, from_opener)
        rules = self.rules
        if flow.rule < rules.count:
            index = rules.match_headers(flow, side, now)
            if index >= 0:
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
        if packet.end <= packet.payload:
            return FORWARD
        if self._traced:
            self._trace(flow, packet, from_opener, 0, now)
        ours = (self.tracker.client_only and not from_opener) or (self.tracker.server_only and from_opener)
        if ours or 0 <= self._only_side != side:
            return self._match_trace(flow, packet, from_opener, side, now) if self._traced else FORWARD
        if flow.udp is None:
            flow.udp = self._recognisers.udp(self._tolerance, flow.sport, self._datagrams)
        data = packet.data
        recognition = flow.udp.feed(data, from_opener, flow.dport)
        flow.inspected += 1
        known = flow.recognition
        named = flow.host is not None and (recognition.protocol == "dns" or recognition.header > 0)
        found_inside = known is not None and known.header > 0 and known.others and not recognition.others
        if not flow.reported and not named and not found_inside:
            _remember(flow, recognition)
        several = recognition.protocol == "dns" or recognition.header > 0
        if several or (self._every_request and recognition.protocol == "sip"):
            return self._message(flow, recognition, packet, from_opener, side, now)
        if self._every_request and recognition.protocol == "quic" and not flow.passed:
            return self._connection(flow, recognition, recognition is not known, packet, from_opener, side, now)
        last = 0 < self._datagrams <= flow.inspected
        if flow.rule < rules.count:
            index = rules.match(flow, recognition, data, b"", side, now, last)
            if index >= 0:
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
            if index == OPEN:
                return FORWARD
        elif self.classify and not last and recognition.more:
            flow.passed = True
            return FORWARD
        return self.enforcer.let_pass(flow)

    def _connection(
        self, flow: Flow, recognition: Recognition, new: bool, packet: Packet, from_opener: bool, side: int, now: float
    ) -> FrameOutcome:
        """Matches a QUIC connection by itself, as others may follow it between the same ports.

        `new`: the recognition is not the one of the datagram before.
        """
        rules = self.rules
        if flow.decided_at:
            if not new and not recognition.more:
                return FORWARD
            if new:
                flow.inspected = 1
                rules.begin(flow, now)
        last = 0 < self._datagrams <= flow.inspected
        index = rules.match(flow, recognition, packet.data, b"", side, now, last) if flow.rule < rules.count else NONE
        if index >= 0 and not self.enforcer.spares(flow, index):
            return self.enforcer.decide(flow, index, packet, from_opener, side, now)
        if index == OPEN:
            return FORWARD
        if last and recognition.more:
            return self.enforcer.let_pass(flow)
        if flow.decided_at == 0 and not recognition.more:
            flow.decided_at = self.enforcer.packets
        return self.enforcer.told(flow, FORWARD)

    def _message(
        self, flow: Flow, recognition: Recognition, packet: Packet, from_opener: bool, side: int, now: float
    ) -> FrameOutcome:
        """Matches a datagram by itself: a DNS message, a SIP message, or one in a relay's header, as one port asks for
        many names. The relay's own target is matched before its content.

        The answer to a query that passed can only be decided by a rule about answers, and only if that is the first
        rule that matches. Reports the first message that a rule matched, else the first message.
        """
        answer = not from_opener and flow.verdict is None and recognition.protocol == "dns"
        if answer and not self.rules.about_answers:
            return FORWARD
        flow.message = packet.data[recognition.header :]
        index, matched = NONE, recognition
        for asked in (*recognition.others, recognition) if recognition.header else (recognition,):
            self.rules.begin(flow, now)
            index, matched = self.rules.match(flow, asked, flow.message, b"", side, now, True), asked
            if index >= 0:
                break
        spared = index >= 0 and self.enforcer.spares(flow, index)
        if index < 0 or spared or (answer and not self.rules.matchers[index].about_answers):
            if flow.decided_at == 0:
                flow.decided_at = self.enforcer.packets
            return self.enforcer.told(flow, FORWARD)
        first = not flow.reported
        if first:
            _remember(flow, matched)
        session = flow.udp
        flow.stays = True
        outcome = self.enforcer.decide(flow, index, packet, from_opener, side, now)
        flow.decided = False
        if recognition.header:
            flow.udp = session  # the relay's other flows need its state
        return outcome if first else FrameOutcome(outcome.forward, outcome.replacement, outcome.inject)

    def other(self, flow: Flow, packet: Packet, from_opener: bool, side: int, now: float) -> FrameOutcome:
        """Matches a packet of a protocol without ports, once, by its headers and bytes."""
        recognition = Recognition(flow.protocol)
        if flow.rule < self.rules.count:
            index = self.rules.match(flow, recognition, packet.data, b"", side, now, True)
            if index >= 0:
                return self.enforcer.decide(flow, index, packet, from_opener, side, now)
        return self.enforcer.let_pass(flow)


def _is_open(recognition: Recognition) -> bool:
    return recognition.more or (recognition.more_server and recognition.host is None)


def _remember_ttl(flow: Flow, packet: Packet, from_client: bool) -> None:
    """Records the TTL of each end's first packet."""
    if from_client:
        if flow.client_ttl == 0:
            flow.client_ttl = packet.ttl
    elif flow.server_ttl == 0:
        flow.server_ttl = packet.ttl


def _remember(flow: Flow, recognition: Recognition) -> None:
    """Stores `recognition` in the flow, unless it is "unknown" and the flow has one already."""
    if recognition.protocol != "unknown" or flow.recognition is None:
        flow.recognition = recognition
        flow.protocol = recognition.protocol
        if recognition.host is not None:
            flow.host = recognition.host
