"""The recognisers of an engine, and what they make of a flow's first bytes.

`Recognisers.tcp` takes the assembled beginnings of both directions and may be called again with longer ones; a
`UdpSession` is kept per flow and fed each datagram. The work is bounded by `BUDGET` bytes a direction: malformed or
truncated input gives "unknown", or `more=True` while it might still turn into something.
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
"""The entry point group: each entry is a class of one recogniser."""
BUDGET: Final = 65536
"""Bytes looked at per direction of a TCP connection; a profile's own budget is normally far smaller."""
UNDECIDED: Final = 8
"""Client bytes below which an unknown stream is still open to be anything."""
BYTES: Final = range(256)
SAMPLE: Final = 1024
"""Bytes kept of what nobody recognises."""


class Recognisers:
    """Recognisers in their order, looked up by the first byte of what they are asked about."""

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
        """Those of them that a TCP connection can be of."""
        tcp.sort(key=_order)
        udp.sort(key=_order)
        self.protocols: tuple[str, ...] = tuple(sorted(names))
        """Every value that `Recognition.protocol` can take."""
        asked = [one for one in tcp if not one.fallback]
        self._tcp = [tuple([one for one in asked if _may_begin(one, byte)]) for byte in BYTES]
        self._silent = tuple([one for one in asked if one.reads == "either"])
        """Whom to ask while the client has sent nothing."""
        self._fallbacks = tuple([one for one in tcp if one.fallback])
        self._refiners: dict[str, tuple[TcpRecogniser, ...]] = {
            name: tuple([one for one in tcp if name in one.refines]) for one in tcp for name in one.refines
        }
        self._udp = [
            [tuple([one for one in udp if one.reads in (end, "either") and _may_begin(one, byte)]) for byte in BYTES]
            for end in ("server", "client")
        ]

    def tcp(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition:
        """Recognise a connection from the in-order bytes of its opener and of the other end so far.

        `tolerance`: what the box's parsers forgive; what they don't is "unknown", or has no host.
        """
        if len(client) > BUDGET:
            client = client[:BUDGET]
        if len(server) > BUDGET:
            server = server[:BUDGET]
        waiting: Recognition | None = None
        for recogniser in self._tcp[client[0]] if client else self._silent:
            found = recogniser.recognise(client, server, dport, tolerance)
            if found is None:
                continue
            if found.protocol != UNKNOWN:
                return self._refined(found, client, server, dport)
            if waiting is None:
                waiting = found
        if waiting is not None:
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
        refiners = self._refiners.get(protocol)
        if refiners is not None:
            for refiner in refiners:
                refiner.refine(found, client, server, dport)
                if found.protocol != protocol:
                    break
        return found

    def udp(self, tolerance: Tolerance = TOLERANT, sport: int = 0, most: int = MAX_DATAGRAMS) -> UdpSession:
        """Returns what recognises one UDP flow from the client's port `sport`, to be fed its datagrams, `most` of them
        (0: all)."""
        return UdpSession(self._udp, tolerance, sport, 0, most)


def _order(recogniser: Recogniser) -> int:
    return recogniser.order


def _may_begin(recogniser: Recogniser, byte: int) -> bool:
    return recogniser.first is None or byte in recogniser.first


@cache
def installed_recognisers() -> Recognisers:
    """Those that ship and those of installed packages, found once; raises `BadInput` where one cannot be used."""
    kinds = Extensions(GROUP, Recogniser)
    try:
        found = [kinds[name]() for name in kinds]
    except ExtensionError as error:
        expected = "recognisers that can be used"
        raise BadInput([Problem(GROUP, 0, "", error.found, expected, error.hint)]) from error
    if not found:
        hint = "shutdownlab was installed before its parts were: run `make setup` again"
        raise BadInput([Problem(GROUP, 0, "", "no recogniser", "at least those that ship", hint)])
    return Recognisers(found)


def recognise_tcp(client: bytes, server: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition:
    """What the installed recognisers make of a TCP stream; see `Recognisers.tcp`."""
    return installed_recognisers().tcp(client, server, dport, tolerance)


def udp_session(tolerance: Tolerance = TOLERANT, sport: int = 0) -> UdpSession:
    """What recognises one UDP flow by the installed recognisers, to be fed its datagrams."""
    return installed_recognisers().udp(tolerance, sport)
