"""What clients say first, in bytes."""

from __future__ import annotations

import hashlib
import ssl

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from shutdownlab.probes.handshake import client_context

RANDOM = b"\x99" + b"".join(hashlib.sha256(bytes((number,))).digest() for number in range(8))


def hello(name: str) -> bytes:
    """OpenSSL's ClientHello, in one segment whatever its version."""
    sent = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def in_records(greeting: bytes, size: int) -> bytes:
    """A ClientHello cut into records of `size` bytes."""
    body = greeting[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(greeting[:3] + len(part).to_bytes(2, "big") + part for part in parts)


def with_extension(greeting: bytes, kind: int) -> bytes:
    """A ClientHello with one more extension, of 64 bytes."""
    at = 9 + 34
    at += 1 + greeting[at]
    at += 2 + int.from_bytes(greeting[at : at + 2], "big")
    at += 1 + greeting[at]
    listed = greeting[at + 2 :] + kind.to_bytes(2, "big") + b"\0\x40" + bytes(64)
    body = greeting[9:at] + len(listed).to_bytes(2, "big") + listed
    return greeting[:3] + (len(body) + 4).to_bytes(2, "big") + b"\1" + len(body).to_bytes(3, "big") + body


def quic_initial(version: int, size: int, name: str = "fine.example") -> bytes:
    """The beginning of the first datagram of aioquic's client."""
    settings = QuicConfiguration(server_name=name, alpn_protocols=["h3"], original_version=version)
    settings.supported_versions = [version]
    client = QuicConnection(configuration=settings)
    client.connect(("192.0.2.10", 443), now=0.0)
    return client.datagrams_to_send(now=0.0)[0][0][:size]


def http_get(host: str = "blocked.example", path: str = "/") -> bytes:
    """A plain request."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n".encode()


def dns_query(name: str = "blocked.example") -> bytes:
    """A question for an A record."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return bytes.fromhex("123401000001000000000000") + labels + b"\0\0\1\0\1"
