"""Recognises WireGuard by message type and exact length (wireguard.com/protocol; whitepaper §5.4)."""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition

PORT = 51820
_LENGTHS = {1: 148, 2: 92, 3: 64}
_NAMES = {1: "initiation", 2: "response", 3: "cookie", 4: "data"}


def recognise_wireguard(payload: bytes, sport: int, dport: int) -> Recognition | None:
    """Recognises a handshake message on any port, or a data message if either port is WireGuard's own.

    Data without a handshake means that the flow's start was missed, so it is unknown which end opened it.
    """
    length = len(payload)
    if length < 32 or payload[1] or payload[2] or payload[3]:
        return None
    kind = payload[0]
    if kind == 4:
        if length % 16 or PORT not in (sport, dport):
            return None
    elif _LENGTHS.get(kind) != length:
        return None
    # The ephemeral key or nonce that follows the indexes is never all zeroes.
    if not any(payload[8:32]):
        return None
    result = Recognition("wireguard")
    result.method = _NAMES[kind]
    return result


class WireGuard(UdpRecogniser):
    protocols = ("wireguard",)
    order = 45
    first = frozenset(_LENGTHS) | {4}

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_wireguard(payload, session.sport, dport)
