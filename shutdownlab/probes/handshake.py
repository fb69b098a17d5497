"""How the laboratory's clients begin TLS: with the same ClientHello on every machine, whatever its OpenSSL offers."""

from __future__ import annotations

import ssl
from typing import Final

_GROUP: Final = "prime256v1"
"""P-256, which every server has (RFC 8446 §9.1), those of TLS 1.2 with keys of that curve as well."""


def client_context() -> ssl.SSLContext:
    """A client's, without sessions to resume. It offers one group for the key exchange.

    From 3.5 on, OpenSSL also sends a share of ML-KEM, unasked: the ClientHello is over two TCP segments then, and a box
    that puts none together (`kazakhstan-sni`) finds no name in it. On Debian 13 what was blocked in 2021 would be open.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.options |= ssl.OP_NO_TICKET
    context.set_ecdh_curve(_GROUP)
    return context
