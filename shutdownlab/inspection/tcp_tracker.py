"""Tracks TCP connections as a box does: which packets it accepts, which end it takes for the client, what it assembles.

All behaviour comes from the profile; the terms are those of Wang et al. (IMC 2017) and Bock et al. (Geneva: CCS 2019,
SIGCOMM 2020).
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection import lots
from shutdownlab.inspection.flow import CLOSED, ESTABLISHED, NEW, SYN_ACK_SEEN, SYN_SEEN, Flow
from shutdownlab.inspection.packet import ACK, FIN, RST, SYN, URG, Packet
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.stream import Stream

NOTHING: Final = 0
CLIENT: Final = 1
SERVER: Final = 2

WINDOW: Final = 65536
"""Bytes ahead of the next one (and, except for resets, behind it) in which sequence and ACK numbers are accepted."""

MAX_SYN_ACKS: Final = 16
"""The most further SYN/ACKs remembered until the client acknowledges one."""
MAX_SYNS: Final = 16
"""The most SYNs of a connection remembered (the latest) until the server acknowledges one."""
_REQUESTS: Final = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN")


class TcpTracker:
    """The TCP model of one profile. Apart from the random draws it is stateless; the state is in the flow."""

    def __init__(self, profile: Profile, drawn: lots.Lots) -> None:
        tcp = profile.tcp
        self.lots = drawn
        self.model = tcp
        self.limit = profile.budget.bytes
        self.keep_last = tcp.overlap == "last"
        self.assembles = tcp.reassembly != "none"
        self.in_order = tcp.reassembly == "in-order"
        self.by_arrival = tcp.reassembly == "arrival"
        self.roles = tcp.roles
        self.client_only = profile.inspect == "client"
        self.server_only = profile.inspect == "server"
        self.follows = self.assembles or profile.validate_.ack or profile.validate_.sequence != "none"
        self.creates_any = "any" in tcp.create
        self.creates_syn = "syn" in tcp.create
        self.creates_syn_ack = "syn-ack" in tcp.create
        self.creates_data = "data" in tcp.create
        self.sequence = {"none": 0, "window": 1, "exact": 2}[profile.validate_.sequence]
        self.ack = profile.validate_.ack
        self.ack_flag = profile.validate_.ack_flag
        self.needs_state = {"none": NEW, "syn": SYN_SEEN, "full": ESTABLISHED}[tcp.handshake]
        self.min_segment = tcp.min_segment
        self.gap = tcp.gap
        self.skips_urgent = tcp.urgent == "skip"
        self.null_gives_up = tcp.null_flags == "give-up"
        self.early_fins = tcp.early_fins
        self.handshake_acks = tcp.handshake_acks
        self.fin_syn_ahead = tcp.fin_syn == "resync-ahead"
        self.bad_seq_ack = tcp.bad_seq_ack == "resync"
        self.counts_requests = tcp.server_requests_swap
        self.server_payload_resync = tcp.server_payload_resync
        self.rst_in_handshake = tcp.rst_teardown.handshake
        self.rst_established = tcp.rst_teardown.established
        self.resync_share = tcp.resync_probability
        own = tcp.server_rst_probability
        self.server_rst_share = tcp.resync_probability if own is None else own

    def may_create(self, packet: Packet) -> bool:
        """Returns whether this packet makes the box track a connection that it does not know."""
        if self.creates_any:
            return True
        flags = packet.flags & (SYN | ACK | RST)
        if flags == SYN:
            return self.creates_syn
        if flags == SYN | ACK:
            return self.creates_syn_ack
        return self.creates_data and not flags & (SYN | RST) and packet.end > packet.payload

    def track(self, flow: Flow, packet: Packet, from_client: bool) -> int:
        """Processes one packet; returns which end has new data to inspect: CLIENT, SERVER or NOTHING."""
        flags = packet.flags
        if self.follows:
            if flow.client is None:
                flow.client = Stream(self.limit, self.keep_last)
            if flow.server is None and (not from_client or flags & SYN):
                flow.server = Stream(self.limit, self.keep_last)
        if flags & 0x3F == 0 and flow.state < ESTABLISHED and self.null_gives_up:
            flow.given_up = True
            return NOTHING
        if flags & FIN and from_client:
            if self.early_fins and flow.client_syn < 0:
                flow.fins_early += 1
                if flow.fins_early >= self.early_fins:
                    flow.given_up = True
            if flags & SYN and self.fin_syn_ahead and flow.client is not None:
                flow.client.start(packet.seq + 1)
                flow.client.known = True
                return NOTHING
        if flags & RST:
            self._reset(flow, packet, from_client)
            return NOTHING
        if flags & SYN:
            return self._synchronise(flow, packet, from_client)
        if not flow.tracked and not self._recreate(flow, packet):
            return NOTHING
        return self._data(flow, packet, from_client)

    def _recreate(self, flow: Flow, packet: Packet) -> bool:
        """Recreates state that was torn down, if the box creates state from such a packet; returns whether it did."""
        if not self.may_create(packet) or flow.state == CLOSED:
            return False
        flow.tracked = True
        flow.given_up = False
        if flow.client is not None:
            flow.client.known = False
        if flow.server is not None:
            flow.server.known = False
        return True

    def _happens(self, flow: Flow, kind: int, share: float) -> bool:
        """Returns whether an event that happens in `share` (0 to 1) of connections happens in this one."""
        return share >= 1.0 or self.lots.draw(flow, kind) < share

    def _reset(self, flow: Flow, packet: Packet, from_client: bool) -> None:
        if from_client and flow.resync:
            # As observed in the GFW: it resynchronises on a reset that the server induced, whatever its number.
            self._take_up(flow, packet)
            return
        stream = flow.client if from_client else flow.server
        level = self.sequence
        if stream is not None and stream.known and level:
            ahead = stream.distance(packet.seq)
            if ahead < 0 or ahead > WINDOW or (level == 2 and ahead != 0):
                return
        reaction = self.model.rst if from_client else self.model.server_rst
        if reaction == "teardown":
            if from_client:
                share = self.rst_established if flow.state >= ESTABLISHED else self.rst_in_handshake
                if not self._happens(flow, lots.RST, share):
                    flow.resync = True
                    return
            flow.tracked = False
            # If data alone creates state, only a reset whose number was checked ends the connection for good.
            if level or not self.creates_data:
                flow.state = CLOSED
        elif reaction == "resync":
            if from_client:
                flow.resync = True
            else:
                self._resync(flow, self.server_rst_share)

    def _resync(self, flow: Flow, share: float) -> None:
        """Requests resynchronisation, in `share` of connections, because of a packet from the server."""
        if self._happens(flow, lots.FROM_SERVER, share):
            flow.resync = True

    def _synchronise(self, flow: Flow, packet: Packet, from_client: bool) -> int:
        model = self.model
        length = packet.end - packet.payload
        client = flow.client
        if packet.flags & ACK:
            if from_client:
                if flow.resync:
                    self._take_up(flow, packet)
                if model.client_syn_ack == "swap" and not flow.server_syn:
                    _swap(flow)
                return NOTHING
            if length > 0:
                flow.syn_ack_loads += 1
                if model.server_payload_in_handshake and flow.syn_ack_loads >= model.server_payload_in_handshake:
                    flow.given_up = True
                self._count_request(flow, packet)
            if client is not None and flow.server is not None:
                if flow.syns:
                    self._choose_syn(flow, packet)
                wrong = client.known and packet.ack != client.next_seq and client.at == 0
                if wrong and model.syn_ack_bad_ack == "resync":
                    self._resync(flow, self.resync_share)
                if not flow.server.known:
                    flow.server.start(packet.seq + 1)
                elif (
                    flow.server.at == 0 and packet.seq + 1 != flow.server.next_seq and len(flow.syn_acks) < MAX_SYN_ACKS
                ):
                    flow.syn_acks = (*flow.syn_acks, (packet.seq + 1) & 0xFFFFFFFF)
            if flow.state < SYN_ACK_SEEN:
                flow.state = SYN_ACK_SEEN
            return NOTHING
        if not from_client:
            flow.server_syn = True
            if model.server_syn == "swap":
                _swap(flow)
            if length > 0 and model.server_payload_resync:
                self._resync(flow, self.resync_share)
            return NOTHING
        if flow.client_syn < 0 or not flow.tracked:
            flow.client_syn = packet.seq
            flow.tracked = True
            flow.state = SYN_SEEN
            if client is not None:
                client.start(packet.seq + 1)
        elif packet.seq != flow.client_syn:
            if model.second_syn == "resync":
                flow.resync = True
            elif model.second_syn == "restart" and client is not None:
                flow.client_syn = packet.seq
                client.start(packet.seq + 1)
            elif model.second_syn == "answered":
                before = flow.syns or ((flow.client_syn + 1) & 0xFFFFFFFF,)
                flow.syns = (*before, (packet.seq + 1) & 0xFFFFFFFF)[-MAX_SYNS:]
        if length <= 0:
            return NOTHING
        if model.syn_payload == "give-up":
            flow.given_up = True
            return NOTHING
        if model.syn_payload == "inspect" and not self.server_only:
            if client is not None and self.assembles:
                return CLIENT if client.full(packet.seq + 1, packet.data, length, model.gap) else NOTHING
            return CLIENT
        return NOTHING

    def _count_request(self, flow: Flow, packet: Packet) -> None:
        """Counts a client's request sent by the server, and swaps the ends at the profile's limit."""
        limit = self.model.server_requests_swap
        if limit and packet.frame[packet.payload : packet.payload + 4].startswith(_REQUESTS):
            flow.requests += 1
            if flow.requests >= limit:
                flow.requests = 0
                _swap(flow)

    def _take_up(self, flow: Flow, packet: Packet) -> None:
        """Resynchronises: takes this packet's sequence number as the next byte's.

        A SYN is not counted as a byte, as observed in the GFW, which a simultaneous open therefore leaves one byte off.
        """
        flow.resync = False
        flow.resynced = True
        if flow.client is not None:
            flow.client.start(packet.seq)

    def _data(self, flow: Flow, packet: Packet, from_client: bool) -> int:
        length = packet.end - packet.payload
        flags = packet.flags
        if from_client:
            if flow.state == SYN_ACK_SEEN and flags & ACK:
                flow.state = ESTABLISHED
            if flow.resync:
                self._take_up(flow, packet)
            if flow.syn_acks and flags & ACK:
                self._choose_syn_ack(flow, packet)
        stream = flow.client if from_client else flow.server
        if length == 0 and not flags & FIN:
            if self.handshake_acks and from_client and flow.inspected == 0:
                flow.acks_early += 1
                if flow.acks_early >= self.handshake_acks:
                    flow.given_up = True
            if self.bad_seq_ack and not flow.resynced and from_client and stream is not None and stream.known:
                ahead = stream.distance(packet.seq)
                if ahead < -WINDOW or ahead > WINDOW:
                    flow.resync = True
            return NOTHING
        if not self._data_believed(flow, packet, from_client, stream):
            return NOTHING
        what = NOTHING
        if length > 0:
            what = self._assemble(flow, packet, from_client, stream, length)
        if flags & FIN and flow.tracked:
            self._finish(flow, packet, from_client, stream, length)
        return what

    def _choose_syn(self, flow: Flow, packet: Packet) -> None:
        """Of several SYNs with different sequence numbers, adopts the one that the server acknowledges."""
        client = flow.client
        if client is not None and client.at == 0 and packet.ack != client.next_seq and packet.ack in flow.syns:
            client.start(packet.ack)

    def _choose_syn_ack(self, flow: Flow, packet: Packet) -> None:
        """Of several SYN/ACKs with different sequence numbers, adopts the one that the client acknowledges."""
        if flow.server is not None and flow.server.at == 0 and packet.ack in flow.syn_acks:
            flow.server.start(packet.ack)
        flow.syn_acks = ()

    def _data_believed(self, flow: Flow, packet: Packet, from_client: bool, stream: Stream | None) -> bool:
        if self.ack_flag and not packet.flags & ACK:
            return False
        if self.ack and packet.flags & ACK:
            other = flow.server if from_client else flow.client
            if other is not None and other.known:
                ahead = other.distance(packet.ack)
                if ahead > WINDOW or ahead < -WINDOW:
                    return False
        return True

    def _assemble(self, flow: Flow, packet: Packet, from_client: bool, stream: Stream | None, length: int) -> int:
        if not from_client:
            if self.counts_requests and flow.inspected == 0:
                self._count_request(flow, packet)
            if self.server_payload_resync and flow.client is not None and flow.client.at == 0:
                self._resync(flow, self.resync_share)
        if flow.state < self.needs_state:
            return NOTHING
        if flow.state == NEW:
            flow.state = ESTABLISHED
        if not self.roles:
            return CLIENT
        if from_client:
            if self.server_only:
                return NOTHING
        elif self.client_only:
            if stream is not None and stream.known and not stream.distance(packet.seq):
                stream.next_seq = (stream.next_seq + length) & 0xFFFFFFFF
            return NOTHING
        what = CLIENT if from_client else SERVER
        if not self.assembles or stream is None:
            return what
        if length < self.min_segment:
            return NOTHING
        data = packet.data
        if self.by_arrival:
            return what if stream.arrival(data) else NOTHING
        if not stream.known:
            stream.start(packet.seq)
        if packet.flags & URG and self.skips_urgent and 0 < packet.urgent <= len(data):
            data = data[: packet.urgent - 1] + data[packet.urgent :]
            grew = stream.full(packet.seq, data, length - 1, self.gap)
            if grew:
                stream.next_seq = (stream.next_seq + 1) & 0xFFFFFFFF
            return what if grew else NOTHING
        if self.in_order:
            return what if stream.in_order(packet.seq, data, length) else NOTHING
        return what if stream.full(packet.seq, data, length, self.gap) else NOTHING

    def _finish(self, flow: Flow, packet: Packet, from_client: bool, stream: Stream | None, length: int) -> None:
        model = self.model
        if model.fin == "ignore" or (not from_client and flow.state < ESTABLISHED):
            return  # an end in SYN-SENT ignores a FIN (RFC 9293, 3.10.7.3)
        if self.sequence and stream is not None and stream.known:
            ahead = stream.distance((packet.seq + length) & 0xFFFFFFFF)
            if ahead > WINDOW or ahead < -WINDOW:
                return
        if not self._happens(flow, lots.FIN, model.fin_probability):
            return
        flow.fins |= 1 if from_client else 2
        if model.fin == "teardown":
            flow.tracked = False
            flow.state = CLOSED
        elif flow.fins == 3:
            flow.state = CLOSED


def _swap(flow: Flow) -> None:
    """Swaps the ends: the box now takes the other one for the client."""
    flow.swapped = not flow.swapped
    flow.client, flow.server = flow.server, flow.client
    flow.client_ttl, flow.server_ttl = flow.server_ttl, flow.client_ttl
