"""Whose certificates count: TLS contexts of a vantage point's agent."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, TextIO

from shutdownlab.probes.handshake import client_context

KEY_LOG: Final = "SSLKEYLOGFILE"
"""The environment's variable that says where clients write their secrets (NSS key log, draft-ietf-tls-keylogfile)."""


@cache
def key_log() -> TextIO | None:
    """The file for clients' secrets, for aioquic, line by line; None where nobody wants them."""
    path = os.environ.get(KEY_LOG)
    return Path(path).open("a", buffering=1) if path else None


@dataclass(slots=True)
class TrustStore:
    """One TLS context per authority and agent: parsing certificates again for each probe costs more than the probe."""

    _contexts: dict[tuple[str, tuple[str, ...]], ssl.SSLContext] = field(default_factory=dict)
    _pems: dict[str, bytes] = field(default_factory=dict)

    def pem(self, ca: str) -> bytes:
        """The authority's certificate for aioquic, which verifies on its own; raises OSError."""
        if ca not in self._pems:
            self._pems[ca] = Path(ca).read_bytes() if ca else b""
        return self._pems[ca]

    def context(self, ca: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A client context that trusts the PEM file `ca` alone ("": nothing) and offers `alpn`.

        Raises OSError where the file can't be read.
        """
        if (ca, alpn) not in self._contexts:
            context = client_context()
            if path := os.environ.get(KEY_LOG):
                context.keylog_filename = path
            if alpn:
                context.set_alpn_protocols(list(alpn))
            if ca:
                context.load_verify_locations(cafile=ca)
            self._contexts[ca, alpn] = context
        return self._contexts[ca, alpn]
