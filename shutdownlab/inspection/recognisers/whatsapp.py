"""Recognises WhatsApp's own transport: Noise frames after a prologue, on TCP 443 and 5222.

The prologue is "WA" with a protocol version and a token-dictionary version ("WA\\x06\\x03"); a client that was given
routing information sends "ED\\x00\\x01", three bytes of length and that information before it. Source: the open-source
clients whatsmeow, Baileys and yowsup.
"""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

MAX_ROUTING = 4096


def recognise_whatsapp(client: bytes) -> Recognition | None:
    """Recognises the prologue; None if these bytes cannot be one."""
    index = 0
    if client[:1] == b"E":
        if len(client) < 7:
            return Recognition(more=True) if b"ED\x00\x01".startswith(client[:4]) else None
        size = int.from_bytes(client[4:7], "big")
        if client[:4] != b"ED\x00\x01" or size > MAX_ROUTING:
            return None
        index = 7 + size
        if len(client) < index + 4:
            result = Recognition("whatsapp")
            result.variant = "routed"
            return result
    header = client[index : index + 4]
    if header[:1] != b"W" or header[1:2] not in (b"", b"A"):
        return None
    if len(header) < 4:
        return Recognition(more=True) if not header[2:] or header[2] <= 0x20 else None
    if not 0 < header[2] <= 0x20 or header[3] > 0x20:
        return None
    result = Recognition("whatsapp")
    result.variant = f"{header[2]}.{header[3]}"
    return result


class WhatsApp(TcpRecogniser):
    protocols = ("whatsapp",)
    order = 90
    first = frozenset(b"EW")

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_whatsapp(client)
