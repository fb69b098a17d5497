"""Reads TLS records over TCP (RFC 8446 §5.1)."""

from __future__ import annotations

from typing import Final

HANDSHAKE: Final = 0x16
MAX_RECORD: Final = 16384 + 2048
"""The largest record that a lenient receiver accepts, in bytes: RFC 5246's ciphertext limit."""
MAX_RECORDS: Final = 4096
"""The most records that a ClientHello may be split into: enough for one byte per record."""


def handshake_bytes(stream: bytes, limit: int) -> bytes:
    """Returns the joined contents of the leading handshake records, up to the one that reaches `limit` bytes."""
    parts: list[bytes] = []
    total = 0
    index = 0
    count = 0
    length = len(stream)
    while index + 5 <= length and total < limit and count < MAX_RECORDS:
        if stream[index] != HANDSHAKE or stream[index + 1] != 3:
            break
        record = (stream[index + 3] << 8) | stream[index + 4]
        if record > MAX_RECORD:
            break
        part = stream[index + 5 : index + 5 + record]
        parts.append(part)
        total += len(part)
        index += 5 + record
        count += 1
    return b"".join(parts)


def records_end(stream: bytes) -> int:
    """Returns the offset at which the leading handshake records end; beyond the stream if the last is incomplete."""
    index = 0
    count = 0
    length = len(stream)
    while index < length and count < MAX_RECORDS:
        if stream[index] != HANDSHAKE or (index + 1 < length and stream[index + 1] != 3):
            return index
        if index + 5 > length:
            return length
        index += 5 + ((stream[index + 3] << 8) | stream[index + 4])
        count += 1
    return index


def servers_tls(server: bytes) -> bytes:
    """Returns the server's stream from its ServerHello on, without what came before; b"" if there is none yet."""
    at = server.find(b"\x16\x03")
    while 0 <= at < len(server) - 5 and server[at + 5] != 2:
        at = server.find(b"\x16\x03", at + 1)
    return server[at:] if at >= 0 else b""
