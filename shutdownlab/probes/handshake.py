"""How the lab's clients start TLS: with the same ClientHello on every machine, whatever its OpenSSL supports."""

from __future__ import annotations

import ssl
from typing import Final

_GROUP: Final = "prime256v1"
"""P-256, which every server supports (RFC 8446 §9.1), including those with TLS 1.2 and keys on that curve."""


def client_context() -> ssl.SSLContext:
    """Returns a client context without session resumption, which offers a single key exchange group.

    From version 3.5, OpenSSL by default also sends an ML-KEM key share: the ClientHello then spans two TCP segments,
    and a box that does not reassemble them (`kazakhstan-sni`) finds no name in it. On Debian 13, what was blocked in
    2021 would be open.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_TICKET
    context.set_ecdh_curve(_GROUP)
    return context
