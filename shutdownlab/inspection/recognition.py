"""Recognises a flow's protocol from its first bytes, by the installed recognisers.

`Recognisers.tcp` takes the assembled beginnings of both directions and may be called again with longer ones; a
`UdpSession` is kept per flow and fed each datagram. The work is bounded by `BUDGET` bytes per direction. Malformed or
truncated input gives "unknown", with `more=True` while further bytes might change that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from shutdownlab.config.extensions import ExtensionError, Extensions
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.inspection.recognisers.recogniser import (
    MAX_DATAGRAMS,
    Recogniser,
    TcpRecogniser,
    UdpRecogniser,
    UdpSession,
)
from shutdownlab.inspection.recognisers.result import UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance

__all__ = [
    "BUDGET",
    "GROUP",
    "TOLERANT",
    "UNKNOWN",
    "Recognisers",
    "Recognition",
    "Tolerance",
    "UdpSession",
    "installed_recognisers",
    "recognise_tcp",
    "udp_session",
]

GROUP: Final = "shutdownlab.recognisers"
"""The entry point group: each entry is a recogniser's class."""
BUDGET: Final = 65536
"""Bytes read per direction of a TCP connection; a profile's own budget is normally far smaller."""
UNDECIDED: Final = 8
"""Client bytes below which an unknown stream may still turn out to be anything."""
BYTES: Final = range(256)
SAMPLE: Final = 1024
"""Bytes kept of an unrecognised stream."""


class Recognisers:
    """Recognisers in order of precedence, indexed by the first byte of their input."""

    def __init__(self, recognisers: Iterable[Recogniser]) -> None:
        tcp: list[TcpRecogniser] = []
        udp: list[UdpRecogniser] = []
        names = {UNKNOWN}
        for recogniser in recognisers:
            names.update(recogniser.protocols)
            if isinstance(recogniser, TcpRecogniser):
                tcp.append(recogniser)
            elif isinstance(recogniser, UdpRecogniser):
                udp.append(recogniser)
        self.over_tcp = frozenset({UNKNOWN, *(name for one in tcp for name in one.protocols)})
        """The protocols that a TCP connection can be of."""
        self.over_udp = frozenset({UNKNOWN, *(name for one in udp for name in one.protocols)})
        """The protocols that a UDP flow can be of."""
        tcp.sort(key=_order)
        udp.sort(key=_order)
        self.protocols: tuple[str, ...] = tuple(sorted(names))
        """Every value that `Recognition.protocol` can take."""
        asked = [one for one in tcp if not one.fallback]
        self._tcp = [tuple([one for one in asked if _may_begin(one, byte)]) for byte in BYTES]
        self._silent = tuple([one for one in asked if one.reads == "either"])
        """The recognisers to ask while the client has sent nothing."""
        self._fallbacks = tuple([one for one in tcp if one.fallback])
        self._refiners: dict[str, tuple[TcpRecogniser, ...]] = {
            name: tuple([one for one in tcp if name in one.refines]) for one in tcp for name in one.refines
        }
        self._udp = [
            [tuple([one for one in udp if one.reads in (end, "either") and _may_begin(one, byte)]) for byte in BYTES]
            for end in ("server", "client")
        ]

    def tcp(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition:
        """Recognises a connection from the client's and the server's in-order bytes so far.

        `tolerance`: what the box's parsers tolerate; anything else is "unknown", or has no host.
        """
        if len(client) > BUDGET:
            client = client[:BUDGET]
        if len(server) > BUDGET:
            server = server[:BUDGET]
        waiting: Recognition | None = None
        possible: tuple[str, ...] = ()
        for recogniser in self._tcp[client[0]] if client else self._silent:
            found = recogniser.recognise(client, server, dport, tolerance)
            if found is None:
                continue
            if found.protocol != UNKNOWN:
                return self._refined(found, client, server, dport)
            if waiting is None:
                waiting = found
            possible += recogniser.protocols
        if waiting is not None:
            waiting.possible = possible
            return waiting
        for recogniser in self._fallbacks:
            found = recogniser.recognise(client, server, dport, tolerance)
            if found is not None:
                return self._refined(found, client, server, dport)
        result = Recognition()
        result.sample = client[:SAMPLE] or None
        result.more = len(client) < UNDECIDED
        return result

    def _refined(self, found: Recognition, client: bytes, server: bytes, dport: int) -> Recognition:
        protocol = found.protocol
        refiners = self._refiners.get(protocol, ())
        for refiner in refiners:
            refiner.refine(found, client, server, dport)
            if found.protocol != protocol:
                break
        if found.more:
            found.possible = (found.protocol, *[name for refiner in refiners for name in refiner.protocols])
        return found

    def udp(self, tolerance: Tolerance = TOLERANT, sport: int = 0, most: int = MAX_DATAGRAMS) -> UdpSession:
        """Returns a session that recognises one UDP flow from the client's port `sport`, to be fed its datagrams.

        `most`: datagrams inspected before the result is final; 0: unlimited.
        """
        return UdpSession(self._udp, tolerance, sport, 0, most)


def _order(recogniser: Recogniser) -> int:
    return recogniser.order


def _may_begin(recogniser: Recogniser, byte: int) -> bool:
    return recogniser.first is None or byte in recogniser.first


@cache
def installed_recognisers() -> Recognisers:
    """Returns all installed recognisers (cached); raises `BadInput` if one cannot be loaded or there is none."""
    kinds = Extensions(GROUP, Recogniser)
    try:
        found = [kinds[name]() for name in kinds]
    except ExtensionError as error:
        expected = "recognisers that can be loaded"
        raise BadInput([Problem(GROUP, 0, "", error.found, expected, error.hint)]) from error
    if not found:
        hint = "the installation of shutdownlab is incomplete: run `make setup` again"
        raise BadInput([Problem(GROUP, 0, "", "no recogniser", "at least the shipped ones", hint)])
    return Recognisers(found)


def recognise_tcp(client: bytes, server: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition:
    """Recognises a TCP stream by the installed recognisers; see `Recognisers.tcp`."""
    return installed_recognisers().tcp(client, server, dport, tolerance)


def udp_session(tolerance: Tolerance = TOLERANT, sport: int = 0) -> UdpSession:
    """Returns a session that recognises one UDP flow by the installed recognisers; see `Recognisers.udp`."""
    return installed_recognisers().udp(tolerance, sport)
