"""The base classes of recognisers: one class per protocol and transport, registered under `shutdownlab.recognisers`.

Recognisers are stateless; what they need to remember of a UDP flow is kept in the flow's `UdpSession`. They never
raise, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

from mypy_extensions import mypyc_attr

from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_DATAGRAMS: Final = 8
"""The default number of a flow's datagrams inspected before its result is final: unknown, or only STUN."""
SEVERAL: Final = ("dns", "sip")
"""Protocols in which each datagram has a host name of its own."""
LEAST_DATAGRAM: Final = 8
"""Bytes below which a datagram is not recognised as anything."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Recogniser:
    """What all recognisers declare. Derive from `TcpRecogniser` or `UdpRecogniser`."""

    protocols: ClassVar[tuple[str, ...]] = ()
    """The protocols it recognises; rules and profiles may name these."""
    order: ClassVar[int] = 500
    """Its precedence: lower ones are asked first. Those that ship have 10 to 200."""
    first: ClassVar[frozenset[int] | None] = None
    """It is asked only if the first byte of the client's stream, or of the datagram, is one of these; None: always."""
    reads: ClassVar[str] = "client"
    """The end whose bytes it needs: "client" or "either". Over UDP the client is the sender of the first datagram."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TcpRecogniser(Recogniser):
    """Recognises a protocol over TCP from the first in-order bytes of both directions.

    It is asked again with more bytes until a recogniser returns a protocol; the first one to do so counts. One that
    reads "client" is not asked before the client has sent something.
    """

    fallback: ClassVar[bool] = False
    """Whether it is asked only when no other recogniser knows the protocol or waits for more."""
    refines: ClassVar[tuple[str, ...]] = ()
    """Protocols found by other recognisers that `refine` may turn into one of its own."""

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        """Returns the recognised protocol of a stream; None if it cannot be one of this class's.

        Returns a `Recognition` with protocol "unknown" and `more` if further bytes may make it one. `dport` is the
        server's port, `tolerance` what the box's parsers tolerate.
        """
        return None

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        """Changes `found`, whose protocol is in `refines`, if the stream is of a more specific protocol."""


@mypyc_attr(allow_interpreted_subclasses=True)
class UdpRecogniser(Recogniser):
    """Recognises a protocol over UDP from a datagram. One that reads "client" is only asked about the client's."""

    reads: ClassVar[str] = "either"

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        """Returns the recognised protocol of a datagram (at least 8 bytes); None if it is not one of this class's."""
        return None


class DatagramParser(Protocol):
    """Parses all further datagrams of a flow, once passed to `UdpSession.follow` or `go_on`."""

    def feed(self, payload: bytes, from_client: bool) -> Recognition:
        """Parses a datagram; returns what is known of the flow after it."""


class UdpSession:
    """Recognises one UDP flow, datagram by datagram, and keeps the recognisers' state for it.

    `recognisers`: those to ask about a datagram, indexed by whether the client sent it (0 or 1) and by its first byte.
    `most`: datagrams inspected before the result is final; 0: unlimited.
    """

    def __init__(
        self,
        recognisers: Sequence[Sequence[tuple[UdpRecogniser, ...]]],
        tolerance: Tolerance,
        sport: int = 0,
        depth: int = 0,
        most: int = MAX_DATAGRAMS,
    ) -> None:
        self.tolerance = tolerance
        self.sport = sport
        """The client's port."""
        self.depth = depth
        """How many sessions it is nested in."""
        self.memory: dict[object, Any] = {}
        """The recognisers' state from earlier datagrams, each under a key of its own."""
        self._recognisers = recognisers
        self._most = most
        self._count = 0
        self._last: Recognition | None = None
        self._parser: DatagramParser | None = None

    def feed(self, payload: bytes, from_client: bool, dport: int) -> Recognition:
        """Recognises the next datagram. `from_client`: the sender of the first datagram sent it. `dport`: the server's
        port."""
        parser = self._parser
        if parser is not None:
            return parser.feed(payload, from_client)
        last = self._last
        if last is not None and not last.more and last.protocol not in SEVERAL:
            return last
        self._count += 1
        found = self._recognise(payload, from_client, dport)
        if found is None:
            if last is None:
                last = Recognition(more=True)
                last.sample = payload[:1024] or None
            found = last
        if 0 < self._most <= self._count and self._parser is None:
            found.more = False
        self._last = found
        return found

    def follow(self, parser: DatagramParser, payload: bytes, from_client: bool) -> Recognition:
        """Passes this datagram and all further ones to `parser`; returns its result for this one."""
        self._parser = parser
        return parser.feed(payload, from_client)

    def go_on(self, parser: DatagramParser) -> None:
        """Passes all further datagrams to `parser`, which has parsed this one already."""
        self._parser = parser

    def inner(self) -> UdpSession:
        """Returns a new nested session, for the content of this one's datagrams."""
        return UdpSession(self._recognisers, self.tolerance, self.sport, self.depth + 1, self._most)

    def _recognise(self, payload: bytes, from_client: bool, dport: int) -> Recognition | None:
        if len(payload) < LEAST_DATAGRAM:
            return None
        for recogniser in self._recognisers[1 if from_client else 0][payload[0]]:
            found = recogniser.recognise(payload, from_client, dport, self)
            if found is not None:
                return found
        return None
