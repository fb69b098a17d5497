"""ClientHellos for the recognisers' tests: OpenSSL's own, and ones put together by hand."""

from __future__ import annotations

import ssl
import struct

import pytest


def openssl_hello(name: str | None, alpn: list[str] | None = None, maximum: ssl.TLSVersion | None = None) -> bytes:
    """The first flight of this Python's OpenSSL."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    if alpn:
        context.set_alpn_protocols(alpn)
    if maximum:
        context.maximum_version = maximum
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def sni(name: bytes) -> bytes:
    return extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name)


def hello_body(extensions: bytes, ciphers: tuple[int, ...] = (0x1301, 0xC02F), version: int = 0x0303) -> bytes:
    packed = struct.pack(f"!{len(ciphers)}H", *ciphers)
    return (
        struct.pack("!H", version)
        + bytes(32)
        + b"\x00"
        + struct.pack("!H", len(packed))
        + packed
        + b"\x01\x00"
        + struct.pack("!H", len(extensions))
        + extensions
    )


def message(body: bytes) -> bytes:
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(payload: bytes, size: int = 16384) -> bytes:
    return b"".join(
        b"\x16\x03\x01" + struct.pack("!H", len(payload[i : i + size])) + payload[i : i + size]
        for i in range(0, len(payload), size)
    )
