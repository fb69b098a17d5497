"""The flow table: which connections a box knows, for how long, and what happens when it is full."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.flow import CLOSED, ESTABLISHED, Flow
from shutdownlab.inspection.packet import ACK, RST, SYN, Packet
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.verdict import Action

PROTO_BYTE: Final = [bytes((number,)) for number in range(256)]


def flow_key(packet: Packet) -> bytes:
    """Addresses, ports and protocol as this packet has them."""
    proto = packet.proto
    if proto in (TCP, UDP):
        l4 = packet.l4
        return packet.src + packet.dst + packet.frame[l4 : l4 + 4] + PROTO_BYTE[proto]
    return packet.src + packet.dst + PROTO_BYTE[proto]


def reverse_key(packet: Packet) -> bytes:
    """The same as packets the other way have them."""
    proto = packet.proto
    if proto in (TCP, UDP):
        l4 = packet.l4
        frame = packet.frame
        return packet.dst + packet.src + frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2] + PROTO_BYTE[proto]
    return packet.dst + packet.src + PROTO_BYTE[proto]


def new_flow(packet: Packet, key: bytes, side: int, now: float) -> Flow:
    """A connection whose first packet this is.

    A SYN/ACK comes from who did not open it; without a SYN, a port below 1024 that is the lower one serves. `side`
    below 0 is not known: whoever opened is then inside.
    """
    if packet.proto == TCP and packet.flags & SYN:
        backwards = packet.flags & ACK != 0
    elif packet.proto in (TCP, UDP):
        backwards = packet.sport < packet.dport and packet.sport < 1024
    else:
        backwards = False
    if not backwards:
        opener = side if side >= 0 else 0
        return Flow(key, packet.src, packet.sport, packet.dst, packet.dport, packet.proto, opener, now)
    opener = 1 - side if side >= 0 else 0
    return Flow(reverse_key(packet), packet.dst, packet.dport, packet.src, packet.sport, packet.proto, opener, now)


class FlowTable:
    """Connections by key. A full table makes new connections pass uninspected, or none pass, as the profile says."""

    def __init__(self, profile: Profile, on_path: bool) -> None:
        table = profile.table
        self.flows: dict[bytes, Flow] = {}
        self.born: list[Flow] | None = None
        """Every new connection is appended, if this is set to a list."""
        self.noted: dict[bytes, Flow] = {}
        """Then also those that the box itself does not track, until it does."""
        self.size = table.flows
        self.syn_timeout = table.syn_timeout
        self.established_timeout = table.established_timeout
        self.udp_timeout = table.udp_timeout
        self.closed_timeout = table.closed_timeout
        self.fails_closed = table.overload == "closed"
        self.refuses = self.fails_closed and not on_path
        self.can_be_turned = profile.tcp.client_syn_ack == "swap" or profile.tcp.server_syn == "swap"
        self.overload_open = 0
        self.overload_closed = 0

    def add(self, flow: Flow) -> None:
        """Take a new connection in; whether there is room the caller has asked."""
        self.flows[flow.key] = flow
        if self.noted:
            self._unnote(flow.key)
        if self.born is not None:
            self.born.append(flow)

    def part(self, flow: Flow) -> None:
        """On files, of a connection that passes and is followed on: put in its place what the box knows of it."""
        known = Flow(flow.key, flow.src, flow.sport, flow.dst, flow.dport, flow.proto, flow.opener, flow.last)
        known.state = flow.state
        known.swapped = flow.swapped
        known.given_up = flow.given_up
        known.client_syn = flow.client_syn
        known.fins = flow.fins
        known.inspected = flow.inspected
        known.rule = flow.rule
        known.decided = known.reported = True
        known.followed = flow
        self.flows[flow.key] = known

    def note(self, packet: Packet, key: bytes, side: int, now: float) -> None:
        """Keep a record of a connection that the box does not know, though a file has its packets."""
        flow = self.noted.get(key) or self.noted.get(reverse_key(packet))
        if flow is None:
            flow = new_flow(packet, key, side, now)
            self.noted[flow.key] = flow
            if self.born is not None:
                self.born.append(flow)
        flow.packets += 1

    def _unnote(self, key: bytes) -> None:
        """The box has come to know it; `key` may have it the other way round."""
        half = (len(key) - 5) // 2
        other = key[half : 2 * half] + key[:half] + key[-3:-1] + key[-5:-3] + key[-1:]
        for each in (key, other):
            noted = self.noted.pop(each, None)
            if noted is not None:
                noted.packets = 0  # its record is the other's

    def is_over(self, flow: Flow, now: float) -> bool:
        idle = now - flow.last
        if flow.proto != TCP:
            return idle > self.udp_timeout
        if flow.state == CLOSED:
            return idle > self.closed_timeout
        if flow.state == ESTABLISHED or flow.decided:
            return idle > self.established_timeout
        return idle > self.syn_timeout

    def is_anew(self, flow: Flow, packet: Packet) -> bool:
        """A SYN that starts another connection between the same ports, or the first packet after a residual block."""
        if flow.residual is not None:
            return True
        if packet.proto != TCP or packet.flags & (SYN | ACK | RST) != SYN:
            return False
        if flow.state == CLOSED:
            return packet.seq != flow.client_syn
        if flow.client_syn < 0:
            if flow.decided and flow.given_up:
                flow.client_syn = packet.seq
                return False
            if packet.src != flow.src and flow.inspected == 0:
                # What came before the SYN had it the wrong way round; boxes that can be turned stay so.
                return not self.can_be_turned
        # One that is intercepted ends at the proxy, of which the box is not told; the next is none of it.
        goes_on = flow.verdict is None or flow.verdict.action is Action.INTERCEPT
        return flow.decided and goes_on and packet.seq != flow.client_syn

    def forget(self, flow: Flow) -> None:
        del self.flows[flow.key]
        if flow.followed is not None:
            flow = flow.followed
        if flow.client_syn < 0 and flow.inspected == 0 and not flow.decided:
            flow.packets = 0  # nothing but what its successor is too: no connection to keep a record of

    def is_full(self) -> bool:
        """Whether a new connection finds no room; counts it."""
        if len(self.flows) < self.size:
            return False
        if self.fails_closed:
            self.overload_closed += 1
        else:
            self.overload_open += 1
        return True

    def expire(self, now: float) -> int:
        """Forget connections whose time is over; returns how many."""
        over = [key for key, flow in self.flows.items() if self.is_over(flow, now)]
        for key in over:
            del self.flows[key]
        return len(over)
