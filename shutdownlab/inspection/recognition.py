"""Recognise the protocol of a flow, and the name in it, from its first bytes.

`recognise_tcp` takes the assembled beginnings of both directions and may be called again with longer ones; a
`UdpRecogniser` is kept per flow and fed each datagram. Neither ever raises on any input, and the work is bounded by
`BUDGET` bytes a direction: malformed or truncated input gives "unknown", or `more=True` while it might still turn into
something.
"""

from __future__ import annotations

from shutdownlab.inspection.recognisers.dns import recognise_dns, recognise_dns_tcp
from shutdownlab.inspection.recognisers.http import is_response, recognise_http
from shutdownlab.inspection.recognisers.result import PROTOCOLS, UNKNOWN, Recognition
from shutdownlab.inspection.recognisers.tls import recognise_tls, refine

__all__ = ["BUDGET", "PROTOCOLS", "UNKNOWN", "Recognition", "UdpRecogniser", "recognise_tcp"]

BUDGET = 65536
"""Bytes looked at per direction of a TCP connection; a profile's own budget is normally far smaller."""


def recognise_tcp(client: bytes, server: bytes, dport: int) -> Recognition:
    """Recognise a TCP connection from the in-order bytes of its opener and of the other end so far."""
    if not client and not server:
        return Recognition(more=True)
    tls = recognise_tls(client)
    if tls is not None:
        return refine(tls, dport)
    if dport == 53:
        dns = recognise_dns_tcp(client, dport)
        if dns is not None:
            return dns
    http = recognise_http(client)
    if http is not None:
        return http
    dns = recognise_dns_tcp(client, dport)
    if dns is not None:
        return dns
    if is_response(server):
        return Recognition("http")
    return Recognition()


class UdpRecogniser:
    """Recognises one UDP flow; keeps state where one datagram does not tell (QUIC's CRYPTO frames, RTP's sequence)."""

    __slots__ = ()

    def feed(self, payload: bytes, from_client: bool, dport: int) -> Recognition:
        """Take the next datagram; `from_client`: sent by whoever sent the first one. `dport` is the client's target."""
        dns = recognise_dns(payload, dport)
        if dns is not None:
            return dns
        return Recognition(more=True)
