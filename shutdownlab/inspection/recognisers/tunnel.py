"""Tunnels over UDP by name, for boxes that do not look inside them; IPsec, which none does; and SOCKS's relays."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.relay import recognise_relayed
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.tunnels import IKE_TRAVERSAL, tunnel_name

_FIRST_SPI: Final = 256
"""Lower ones are reserved (RFC 4303 §2.1)."""
_GAP: Final = 1000
"""How far the numbers of two datagrams that follow each other may be apart."""
_ESP: Final = "esp"


class Tunnel(UdpRecogniser):
    protocols = (
        *("esp", "geneve", "gre", "gtp", "gue", "ike", "l2tp", "lisp", "mpls", "socks", "teredo", "tzsp", "vxlan"),
    )
    order = 35

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        name = tunnel_name(payload, session.sport, dport)
        if name is not None:
            return Recognition(name)
        if IKE_TRAVERSAL in (session.sport, dport) and _is_esp(payload, from_client, session):
            return Recognition(_ESP)
        return recognise_relayed(payload, from_client, session)


def _is_esp(payload: bytes, from_client: bool, session: UdpSession) -> bool:
    """Two datagrams of one end that are of the same association, and numbered one after the other (RFC 3948 §2.1)."""
    association, number = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
    if association < _FIRST_SPI:
        return False
    key = (_ESP, from_client)
    before = session.memory.get(key)
    session.memory[key] = (association, number)
    return isinstance(before, tuple) and before[0] == association and 0 < number - before[1] <= _GAP
