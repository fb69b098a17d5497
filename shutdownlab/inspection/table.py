"""The flow table: which connections a box tracks, for how long, and what happens when it is full."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.flow import CLOSED, ESTABLISHED, Flow
from shutdownlab.inspection.packet import ACK, RST, SYN, Packet
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.verdict import Action

PROTO_BYTE: Final = [bytes((number,)) for number in range(256)]


def flow_key(packet: Packet) -> bytes:
    """Returns the flow key of a packet in its own direction: addresses, ports and protocol."""
    proto = packet.proto
    if proto in (TCP, UDP):
        l4 = packet.l4
        return packet.src + packet.dst + packet.frame[l4 : l4 + 4] + PROTO_BYTE[proto]
    return packet.src + packet.dst + PROTO_BYTE[proto]


def reverse_key(packet: Packet) -> bytes:
    """Returns the flow key of packets in the opposite direction."""
    proto = packet.proto
    if proto in (TCP, UDP):
        l4 = packet.l4
        frame = packet.frame
        return packet.dst + packet.src + frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2] + PROTO_BYTE[proto]
    return packet.dst + packet.src + PROTO_BYTE[proto]


def new_flow(packet: Packet, key: bytes, side: int, now: float) -> Flow:
    """Returns a new flow whose first packet this is.

    The sender opened it, unless this is a SYN/ACK or, without a SYN, its port is below 1024 and the lower one. `side`
    below 0: unknown, and the end that opened it counts as inside.
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
    """Flows by key. When it is full, new connections pass uninspected or are dropped, as the profile says."""

    def __init__(self, profile: Profile, on_path: bool) -> None:
        table = profile.table
        self.flows: dict[bytes, Flow] = {}
        self.born: list[Flow] | None = None
        """Offline: every new connection, in order of its first packet. None in a live box."""
        self.noted: dict[bytes, Flow] = {}
        """Offline: connections that the box does not track (yet), by key."""
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
        """Adds a new connection; the caller has checked that there is room."""
        self.flows[flow.key] = flow
        if self.noted:
            self._unnote(flow.key)
        if self.born is not None:
            self.born.append(flow)

    def part(self, flow: Flow) -> None:
        """Offline: replaces a passing flow in the table by what the box still tracks, and follows it separately."""
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
        """Offline: records a packet of a connection that the box does not track."""
        flow = self.noted.get(key) or self.noted.get(reverse_key(packet))
        if flow is None:
            flow = new_flow(packet, key, side, now)
            self.noted[flow.key] = flow
            if self.born is not None:
                self.born.append(flow)
        flow.packets += 1

    def _unnote(self, key: bytes) -> None:
        """Removes the record of a connection that the box now tracks; `key` may be of either direction."""
        half = (len(key) - 5) // 2
        other = key[half : 2 * half] + key[:half] + key[-3:-1] + key[-5:-3] + key[-1:]
        for each in (key, other):
            noted = self.noted.pop(each, None)
            if noted is not None:
                noted.packets = 0  # without packets it is not reported: the tracked flow is

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
        """Returns whether the packet starts a new connection on the flow's ports, or follows its residual block."""
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
                # Packets before the SYN suggested the wrong opener. A box that can swap ends keeps the flow.
                return not self.can_be_turned
        # An intercepted connection ends at the proxy without the box seeing it: another SYN is a new connection.
        goes_on = flow.verdict is None or flow.verdict.action is Action.INTERCEPT
        return flow.decided and goes_on and packet.seq != flow.client_syn

    def forget(self, flow: Flow) -> None:
        del self.flows[flow.key]
        if flow.followed is not None:
            flow = flow.followed
        if flow.client_syn < 0 and flow.inspected == 0 and not flow.decided:
            flow.packets = 0  # nothing of its own was seen: only its successor is reported

    def is_full(self) -> bool:
        """Returns whether there is no room for a new connection, and if so counts the overload."""
        if len(self.flows) < self.size:
            return False
        if self.fails_closed:
            self.overload_closed += 1
        else:
            self.overload_open += 1
        return True

    def expire(self, now: float) -> int:
        """Drops connections that have timed out; returns how many."""
        over = [key for key, flow in self.flows.items() if self.is_over(flow, now)]
        for key in over:
            del self.flows[key]
        return len(over)
