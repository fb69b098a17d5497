"""What the laboratory's clients begin TLS with."""

from __future__ import annotations

import ssl
import struct
from contextlib import suppress

import pytest

from shutdownlab.inspection.recognition import recognise_tcp
from shutdownlab.observers.exchanges import client_hello as observers_hello
from shutdownlab.probes.trust import TrustStore
from shutdownlab.verifier.speech import client_hello as foretold_hello

_SEGMENT = 1220
"""Bytes of TCP payload that fit beside the longest headers into what every IPv6 link carries (RFC 8200, 5)."""
_GROUPS = struct.pack("!HHHH", 10, 4, 2, 23)
"""`supported_groups` (10) of secp256r1 (23) alone (RFC 8446, 4.2.7)."""


def probes_hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        TrustStore().context("", ("h2", "http/1.1")).wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("hello_of", [probes_hello, observers_hello, lambda name: foretold_hello(name, ())])
def test_a_clients_hello_is_in_one_segment_and_its_name_is_read_whatever_openssl_there_is(hello_of) -> None:  # type: ignore[no-untyped-def]
    hello = hello_of("www.blocked.example")
    assert len(hello) < _SEGMENT
    assert _GROUPS in hello
    assert recognise_tcp(hello, b"", 443).host == "www.blocked.example"
