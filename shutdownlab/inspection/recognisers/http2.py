"""Parses the requests of an HTTP/2 connection in the clear, with prior knowledge (RFC 9113 §3.3, RFC 7541)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_BLOCK: Final = 16384
"""Bytes of compressed header fields parsed per request; servers accept no more in a frame, and few in all."""
MAX_FRAMES: Final = 256
"""Frames parsed until the end of a request's header fields."""

_HEADERS: Final = 1
_CONTINUATION: Final = 9
_END_HEADERS: Final = 0x04
_PADDED: Final = 0x08
_PRIORITY: Final = 0x20


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as in its HEADERS frame; empty if the stream is invalid from there on."""

    method: bytes = b""
    authority: bytes = b""
    """`:authority`, else the Host field."""
    path: bytes = b""
    user_agent: bytes = b""


def requests(stream: bytes) -> list[Request]:
    """Returns all complete requests after the preface at the start of `stream`."""
    from hpack import Decoder, HPACKError  # importing it takes a twentieth of `inspect`'s start-up, and it is rare

    decoder = Decoder()
    found: list[Request] = []
    for block in _header_blocks(stream):
        fields: dict[bytes, bytes] = {}
        try:
            for name, value in decoder.decode(block, raw=True):
                fields.setdefault(bytes(name), bytes(value))
        except HPACKError:
            return [*found, Request()]
        if b":method" in fields or not found:  # else trailer fields
            request = Request(
                method=fields.get(b":method", b""),
                authority=fields.get(b":authority") or fields.get(b"host", b""),
                path=fields.get(b":path", b""),
                user_agent=fields.get(b"user-agent", b""),
            )
            found.append(request)
    return found


def _header_blocks(stream: bytes) -> Iterator[bytes]:
    """Yields each HEADERS frame's fragment joined with its CONTINUATIONs'; b"" as the last if the stream is invalid."""
    index = len(PREFACE)
    block = b""
    begun = False
    frames = 0
    while frames < MAX_FRAMES:
        frames += 1
        if len(stream) < index + 9:
            return
        length = int.from_bytes(stream[index : index + 3], "big")
        kind, flags = stream[index + 3], stream[index + 4]
        if begun and kind != _CONTINUATION:
            yield b""
            return
        payload = stream[index + 9 : index + 9 + length]
        if kind in (_HEADERS, _CONTINUATION):
            if length + len(block) > MAX_BLOCK:
                yield b""
                return
            if len(payload) < length:
                return
            block += payload if begun else _fragment(payload, flags)
            begun = True
            if flags & _END_HEADERS:
                yield block
                block, begun, frames = b"", False, 0
        index += 9 + length
    yield b""


def _fragment(payload: bytes, flags: int) -> bytes:
    """Returns a HEADERS frame's payload without padding and priority (RFC 9113 §6.2)."""
    start = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
    padding = payload[0] if flags & _PADDED and payload else 0
    return payload[start : max(start, len(payload) - padding)]
