"""Recognises UDP tunnels for boxes that do not decapsulate them, IPsec, and SOCKS 5 relays."""

from __future__ import annotations

from typing import Final

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.relay import recognise_relayed
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.tunnels import IKE_TRAVERSAL, tunnel_name

_FIRST_SPI: Final = 256
"""The lowest SPI; lower ones are reserved (RFC 4303 §2.1)."""
_GAP: Final = 1000
"""The most that the sequence numbers of two successive datagrams may differ."""
_ESP: Final = "esp"


class Tunnel(UdpRecogniser):
    protocols = (
        *("capwap", "esp", "fou", "geneve", "gre", "gtp", "gue", "ike", "l2tp", "lisp", "mpls", "socks", "teredo"),
        *("tzsp", "vxlan"),
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
    """Returns whether this datagram and the last one from the same end have the same SPI and increasing sequence
    numbers (RFC 3948 §2.1)."""
    association, number = int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")
    if association < _FIRST_SPI:
        return False
    key = (_ESP, from_client)
    before = session.memory.get(key)
    session.memory[key] = (association, number)
    return isinstance(before, tuple) and before[0] == association and 0 < number - before[1] <= _GAP
