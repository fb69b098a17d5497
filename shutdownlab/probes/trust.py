"""Trusted certificates: the TLS contexts of a vantage point's agent."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, TextIO

from shutdownlab.probes.handshake import client_context

KEY_LOG: Final = "SSLKEYLOGFILE"
"""The environment variable that names the file for clients' TLS secrets (NSS key log, draft-ietf-tls-keylogfile)."""


@cache
def key_log() -> TextIO | None:
    """Returns the line-buffered file for clients' TLS secrets, for aioquic; None if they are not wanted."""
    path = os.environ.get(KEY_LOG)
    return Path(path).open("a", buffering=1) if path else None


@dataclass(slots=True)
class TrustStore:
    """One TLS context per authority and agent: parsing certificates for each probe would cost more than the probe."""

    _contexts: dict[tuple[str, tuple[str, ...]], ssl.SSLContext] = field(default_factory=dict)
    _pems: dict[str, bytes] = field(default_factory=dict)

    def pem(self, ca: str) -> bytes:
        """Returns the authority's certificate for aioquic, which verifies by itself; raises OSError."""
        if ca not in self._pems:
            self._pems[ca] = Path(ca).read_bytes() if ca else b""
        return self._pems[ca]

    def context(self, ca: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """Returns a client context that trusts only the PEM file `ca` ("": nothing) and offers `alpn`.

        Raises OSError if the file can't be read.
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
