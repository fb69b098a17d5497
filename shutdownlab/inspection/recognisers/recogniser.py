"""What a recogniser is: one class for a protocol and transport, registered under `shutdownlab.recognisers`.

Recognisers keep no state: what one must remember of a UDP flow it keeps in the flow's `UdpSession`. They never raise,
whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

from mypy_extensions import mypyc_attr

from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_DATAGRAMS: Final = 8
"""Datagrams of a flow looked at before it is given up as unknown (and before STUN is all it is)."""
SEVERAL: Final = ("dns", "sip")
"""Protocols each of whose datagrams has a name of its own."""
LEAST_DATAGRAM: Final = 8
"""Bytes below which nothing can be told."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Recogniser:
    """What recognisers of either transport declare. Derive from `TcpRecogniser` or `UdpRecogniser`."""

    protocols: ClassVar[tuple[str, ...]] = ()
    """What it may call a flow; rules and profiles may name these."""
    order: ClassVar[int] = 500
    """Lower ones are asked first; those that ship have 10 to 200."""
    first: ClassVar[frozenset[int] | None] = None
    """The first byte of the client's stream, or of the datagram, is one of these, or it is not asked; None: any."""
    reads: ClassVar[str] = "client"
    """Whose bytes it tells by: "client" or "either". Over UDP the client is who sent the first datagram."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TcpRecogniser(Recogniser):
    """Recognises a protocol over TCP from the first bytes of both directions, in order.

    It is asked anew with more bytes until some recogniser answers, and the first one that does counts. One that reads
    "client" is not asked before the client has sent something.
    """

    fallback: ClassVar[bool] = False
    """It is asked only when no other recogniser knows the protocol or waits for more."""
    refines: ClassVar[tuple[str, ...]] = ()
    """Protocols that `refine` may turn into one of its own, once another recogniser has found them."""

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        """The protocol of a stream; None if it cannot be one of this class's.

        A `Recognition` with `protocol` "unknown" and `more` says that it may turn out to be one. `dport` is the port
        that was connected to, `tolerance` what the box's parsers forgive.
        """
        return None

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        """Change `found`, which is of a protocol in `refines`, where this stream is something more special."""


@mypyc_attr(allow_interpreted_subclasses=True)
class UdpRecogniser(Recogniser):
    """Recognises a protocol over UDP from a datagram. One that reads "client" is not asked about the server's."""

    reads: ClassVar[str] = "either"

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        """The protocol of a datagram of at least eight bytes; None if it cannot be one of this class's."""
        return None


class DatagramParser(Protocol):
    """Reads all further datagrams of a flow, once `UdpSession.follow` has been given it."""

    def feed(self, payload: bytes, from_client: bool) -> Recognition:
        """What is known after this datagram."""


class UdpSession:
    """Recognises one UDP flow, datagram by datagram, and keeps what recognisers must remember of it.

    `recognisers`: whom to ask about a datagram, by whether the client sent it and by its first byte. `most`: after so
    many datagrams of no known protocol the flow is settled to have none; 0: never.
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
        """How many other sessions it is inside of, one in another."""
        self.memory: dict[object, Any] = {}
        """What recognisers remember of earlier datagrams, each under a key of its own."""
        self._recognisers = recognisers
        self._most = most
        self._count = 0
        self._last: Recognition | None = None
        self._parser: DatagramParser | None = None

    def feed(self, payload: bytes, from_client: bool, dport: int) -> Recognition:
        """Take the next datagram; `from_client`: sent by whoever sent the first one. `dport` is the client's target."""
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
        """Give this datagram and all further ones to `parser`; returns what it says of this one."""
        self._parser = parser
        return parser.feed(payload, from_client)

    def go_on(self, parser: DatagramParser) -> None:
        """Give all further datagrams to `parser`, which has read this one already."""
        self._parser = parser

    def inner(self) -> UdpSession:
        """A session of its own for what is inside this one's datagrams."""
        return UdpSession(self._recognisers, self.tolerance, self.sport, self.depth + 1, self._most)

    def _recognise(self, payload: bytes, from_client: bool, dport: int) -> Recognition | None:
        if len(payload) < LEAST_DATAGRAM:
            return None
        for recogniser in self._recognisers[1 if from_client else 0][payload[0]]:
            found = recogniser.recognise(payload, from_client, dport, self)
            if found is not None:
                return found
        return None
