"""Recognise the protocol of a flow, and the name in it, from its first bytes.

`recognise_tcp` takes the assembled beginnings of both directions and may be called again with longer ones; a
`UdpRecogniser` is kept per flow and fed each datagram. Neither ever raises on any input, and the work is bounded by
`BUDGET` bytes a direction: malformed or truncated input gives "unknown", or `more=True` while it might still turn into
something.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers import mtproto, tor
from shutdownlab.inspection.recognisers.bittorrent import is_mse, recognise_bittorrent_tcp
from shutdownlab.inspection.recognisers.bittorrent import refine_http as refine_tracker
from shutdownlab.inspection.recognisers.certificate import certificate_names
from shutdownlab.inspection.recognisers.datagrams import UdpRecogniser
from shutdownlab.inspection.recognisers.dns import recognise_dns_tcp
from shutdownlab.inspection.recognisers.encrypted import fully_encrypted
from shutdownlab.inspection.recognisers.http import is_response, recognise_http
from shutdownlab.inspection.recognisers.openvpn import recognise_openvpn_tcp
from shutdownlab.inspection.recognisers.result import PROTOCOLS, UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.sip import recognise_sip
from shutdownlab.inspection.recognisers.ssh import recognise_ssh
from shutdownlab.inspection.recognisers.stun import recognise_stun
from shutdownlab.inspection.recognisers.tls import recognise_tls, refine
from shutdownlab.inspection.recognisers.tolerance import TOLERANT, Tolerance
from shutdownlab.inspection.recognisers.whatsapp import recognise_whatsapp

__all__ = [
    "BUDGET",
    "PROTOCOLS",
    "TOLERANT",
    "UNKNOWN",
    "Recognition",
    "Tolerance",
    "UdpRecogniser",
    "fully_encrypted",
    "recognise_tcp",
]

BUDGET: Final = 65536
"""Bytes looked at per direction of a TCP connection; a profile's own budget is normally far smaller."""
UNDECIDED: Final = 8
"""Client bytes below which an unknown stream is still open to be anything."""
_OBFS4_CLIENT: Final = (149, 8192)
"""Bytes of obfs4's client handshake: representative, 85 to 8128 of padding, two MACs (obfs4-spec.txt §4)."""
_OBFS4_SERVER: Final = 96
"""The least of its server handshake."""


def recognise_tcp(client: bytes, server: bytes, dport: int, tolerance: Tolerance = TOLERANT) -> Recognition:
    """Recognise a TCP connection from the in-order bytes of its opener and of the other end so far.

    `tolerance`: what the box's parsers forgive; what they don't is "unknown", or has no host.
    """
    if len(client) > BUDGET:
        client = client[:BUDGET]
    if len(server) > BUDGET:
        server = server[:BUDGET]
    tls = recognise_tls(client, tolerance)
    if tls is not None and tls.protocol == "tls":
        if server and tls.more_server:
            tls.certificate_names, tls.more_server = certificate_names(server)
        return refine(tor.refine(tls), dport)
    waiting = tls
    for candidate in _candidates(client, server, dport, tolerance):
        if candidate is None:
            continue
        if candidate.protocol != UNKNOWN:
            return candidate
        waiting = waiting or candidate
    if waiting is not None:
        return waiting
    return _nameless(client, server, dport)


def _candidates(client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> tuple[Recognition | None, ...]:
    """What each parser makes of the stream; a letter first means text, where only text protocols need asking."""
    if not client:
        return (recognise_ssh(client, server),)
    first = client[0]
    http = recognise_http(client, tolerance) if first < 0x80 else None
    if http is not None and http.protocol == "http":
        return (refine_tracker(mtproto.refine_http(http, client)),)
    return (
        http,
        recognise_ssh(client, server),
        recognise_dns_tcp(client, dport, tolerance),
        recognise_bittorrent_tcp(client) if first == 0x13 else None,
        recognise_sip(client) if 0x41 <= first <= 0x53 else None,
        recognise_whatsapp(client) if first in (0x45, 0x57) else None,
        recognise_openvpn_tcp(client, server),
        recognise_stun(client, dport) if first < 4 else None,
        mtproto.recognise_mtproto(client),
        mtproto.obfuscated(client),
        Recognition("http") if is_response(server) or is_response(client) else None,  # or joined late
    )


def _nameless(client: bytes, server: bytes, dport: int) -> Recognition:
    """No parser knows it: fully encrypted by the published rule, or unknown."""
    result = Recognition()
    result.sample = client[:1024] or None
    if fully_encrypted(client):
        result.protocol = "fet"
        if is_mse(client, server, dport):
            result.protocol = "bittorrent"
            result.variant = "mse"
        elif _OBFS4_CLIENT[0] <= len(client) <= _OBFS4_CLIENT[1] and (not server or len(server) >= _OBFS4_SERVER):
            result.variant = "obfs4"
    elif len(client) < UNDECIDED:
        result.more = True
    return result
