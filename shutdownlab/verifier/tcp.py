"""A TCP connection of the model: both ends, segment by segment. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.model.answers import Rejection
from shutdownlab.probes.failure import HOST_UNREACHABLE, RESET, TIMEOUT, StepFailed
from shutdownlab.verifier.packets import ACK, FIN, MOST_DATA, PSH, RST, SYN, Segment
from shutdownlab.verifier.wire import Arrival, ModelledConnection

REFUSED: Final = "connection_refused"
_AGAIN_S: Final = 0.3
"""Seconds after which a lost segment is retransmitted, once: if the second is lost, so is every later one."""
_WRAP: Final = 1 << 32


class Connection:
    """A TCP connection.

    listens: whether the server's port is open.
    hangs: whether the program behind it answers nothing, though the kernel accepts connections.

    `open` and `exchange` raise `StepFailed` with OONI's name for the failure that the client sees.
    """

    def __init__(self, wire: ModelledConnection, *, listens: bool, hangs: bool = False) -> None:
        assert wire.stream.proto == TCP
        self.wire, self.listens, self.hangs = wire, listens, hangs
        self.ended = False
        """Whether the server, or a DPI box in its name, has closed the connection."""
        self._client_next, self._server_next = 1000, 5000
        """Each end's own next sequence number."""
        self._received = bytearray()
        self._said_by_boxes = 0
        """Octets that boxes have sent in the server's name: the client expects a sequence number this much higher."""
        self._reset = False
        self._server_gone = False

    def open(self) -> None:
        """Performs the three-way handshake; raises `StepFailed`."""
        for _ in range(2 if self.wire.inspected else 1):
            if self._shake_hands():
                return
            self.wire.now += _AGAIN_S
        raise StepFailed(TIMEOUT, "connect")

    def _shake_hands(self) -> bool:
        arrivals = self.wire.send(Segment(flags=SYN, seq=self._client_next), by_client=True)
        self._raise_if_refused(arrivals)
        if not any(not arrival.at_client and arrival.segment.flags & SYN for arrival in arrivals):
            raise_if_unreachable(self.wire)
            return False
        after = (self._client_next + 1) % _WRAP
        answer = Segment(flags=SYN | ACK, seq=self._server_next, ack=after)
        if not self.listens:
            answer = Segment(flags=RST | ACK, ack=after)
        arrivals = self.wire.send(answer, by_client=False)
        self._raise_if_refused(arrivals)
        if not any(arrival.at_client and arrival.segment.flags & SYN for arrival in arrivals):
            return False
        self._client_next, self._server_next = after, (self._server_next + 1) % _WRAP
        self._hear(self.wire.send(self._segment(ACK), by_client=True), for_client=False)
        return True

    def _raise_if_refused(self, arrivals: list[Arrival]) -> None:
        """Raises `StepFailed` for a reset that acknowledges the SYN: the connection is refused (RFC 9293, 3.10.7.3)."""
        for arrival in arrivals:
            segment = arrival.segment
            if arrival.at_client and segment.flags & RST and segment.ack == (self._client_next + 1) % _WRAP:
                raise StepFailed(REFUSED, "connect")

    def exchange(self, request: bytes, answer: bytes, operation: str) -> bytes:
        """Sends a request and returns the octets received: the server's answer, or a DPI box's in its place.

        Returns b"" if the stream ended instead. Raises `StepFailed`.
        """
        if not self.wire.inspected:  # no box on the path reads the data
            if not self.wire.passes or self.hangs:
                raise StepFailed(TIMEOUT, operation)
            return answer
        self._received.clear()
        whole = self._say(request, by_client=True)
        if whole and not (self._reset or self._server_gone or self._received or self.ended):
            whole = not self.hangs and self._say(answer, by_client=False)
        if self._said_by_boxes or self.ended:
            return bytes(self._received)
        if self._reset:
            raise StepFailed(RESET, operation)
        if not whole or self._server_gone:
            raise StepFailed(TIMEOUT, operation)
        return bytes(self._received)

    def close(self) -> None:
        """Closes the client's end."""
        if not self._reset:
            self.wire.send(self._segment(FIN | ACK), by_client=True)

    def _say(self, data: bytes, *, by_client: bool) -> bool:
        """Sends data, segment by segment; returns whether all of it arrived at the other end."""
        parts = (data[at : at + MOST_DATA] for at in range(0, len(data), MOST_DATA))
        return all(self._bring(part, by_client=by_client) for part in parts)

    def _bring(self, data: bytes, *, by_client: bool) -> bool:
        """Sends one segment, and again if it does not arrive; returns whether it did and the client was not reset."""
        for _ in range(2):
            if self._reset or self.ended:
                return False
            arrivals = self.wire.send(self._segment(PSH | ACK, data, by_client=by_client), by_client=by_client)
            arrived = any(a.at_client is not by_client and not a.injected and a.segment.data for a in arrivals)
            self._hear(arrivals, for_client=not by_client)
            if arrived:
                self._count(len(data), by_client=by_client)
                return not self._reset
            if self._server_gone or self._said_by_boxes:
                return False
            self.wire.now += _AGAIN_S
        return False

    def _count(self, octets: int, *, by_client: bool) -> None:
        if by_client:
            self._client_next = (self._client_next + octets) % _WRAP
            return
        self._server_next = (self._server_next + octets) % _WRAP
        self._hear(self.wire.send(self._segment(ACK), by_client=True), for_client=False)

    def _hear(self, arrivals: list[Arrival], *, for_client: bool) -> None:
        """Processes the segments that arrived at either end; `for_client`: whether the server's data caused them."""
        for arrival in arrivals:
            segment = arrival.segment
            if not arrival.at_client:
                self._server_gone = self._server_gone or bool(segment.flags & RST)
            elif self._reset or self.ended:
                continue
            elif segment.flags & RST:
                # A reset with another sequence number than the next is answered with a challenge ACK (RFC 5961, 3.2).
                self._reset = segment.seq == (self._server_next + self._said_by_boxes) % _WRAP
            elif arrival.injected:
                self._said_by_boxes += len(segment.data)
                self._received += segment.data
                self.ended = bool(segment.flags & FIN)
            elif for_client and not self._said_by_boxes:
                self._received += segment.data

    def _segment(self, flags: int, data: bytes = b"", *, by_client: bool = True) -> Segment:
        if by_client:
            return Segment(data, flags, self._client_next, self._server_next)
        return Segment(data, flags, self._server_next, self._client_next)


def raise_if_unreachable(wire: ModelledConnection, operation: str = "connect") -> None:
    """Raises `StepFailed` if the client is told that its packets cannot arrive.

    A router reports that the address is unreachable, a border router rejects the packets, or the address is loopback.
    """
    if (refusal := wire.refusal) is not None:
        raise StepFailed(HOST_UNREACHABLE if refusal is Rejection.ICMP else REFUSED, operation)
    way = wire.way(True)
    if way.arrives or way.silent or any(step.fate.dropped for step in wire.steps(True)):
        return
    if len(way.nodes) == 1:
        raise StepFailed(REFUSED, operation)
    # TCP and ping fail on "network unreachable", UDP ignores it: it may be transient (RFC 1122, 3.2.2.1).
    if wire.stream.proto != UDP and wire.icmp_reaches_sender(way.nodes[-1]):
        # On an IPv6-only line, translation to ICMPv6 and back results in another code (RFC 7915, 4.2 and 5.2).
        raise StepFailed(HOST_UNREACHABLE if wire.is_translated else "network_unreachable", operation)
