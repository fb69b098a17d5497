"""Parses the requests of an HTTP/2 connection in the clear, with prior knowledge (RFC 9113 §3.3, RFC 7541)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shutdownlab.inspection.recognisers.result import UNENDED

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_BLOCK: Final = 16384
"""Bytes of compressed header fields parsed per request; servers accept no more in a frame, and few in all."""

_HEADERS: Final = 1
_CONTINUATION: Final = 9
_END_HEADERS: Final = 0x04
_PADDED: Final = 0x08
_PRIORITY: Final = 0x20


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as in its HEADERS frame; empty for trailer fields, and if the stream is invalid from there on."""

    method: bytes = b""
    authority: bytes = b""
    """`:authority`, else the Host field."""
    path: bytes = b""
    user_agent: bytes = b""


class Requests:
    """Parses a connection's requests one by one, as their header fields are compressed by those before.

    `parse` takes the client's stream from the current request on (at first, from the preface on); `advance` goes on to
    the next one. A request lasts until the next HEADERS frame, whatever streams the frames before that belong to.
    """

    def __init__(self) -> None:
        self._decoder: Any = None
        self._at = 0
        self.request: Request | None = None
        """The current request; None while its header fields have not arrived."""
        self.end = UNENDED
        """Where the next one begins; UNENDED while it has not; 0 if the stream is invalid."""

    @property
    def resume(self) -> int:
        """The beginning of the first frame that has not arrived whole: after the current request is dropped up to
        there, `parse` may go on there."""
        return self._at

    def advance(self) -> None:
        if self.end != 0:
            self._at = 0
            self.request = None
            self.end = UNENDED

    def parse(self, stream: bytes) -> None:
        """Parses further frames. `stream` begins as at the last call, or where `advance` was told to go on."""
        at = self._at
        if at == 0 and stream[:4] == PREFACE[:4]:
            at = len(PREFACE)
        while self.end == UNENDED and len(stream) >= at + 9:
            length, kind = int.from_bytes(stream[at : at + 3], "big"), stream[at + 3]
            if kind == _HEADERS:
                if self.request is not None:
                    self.end = at
                    break
                after = self._fields(stream, at)
                if after < 0:
                    break
                at = after
            elif kind == _CONTINUATION:
                self._fail()
            else:
                at += 9 + length
        self._at = at

    def _fail(self) -> None:
        self.request = self.request or Request()
        self.end = 0

    def _fields(self, stream: bytes, at: int) -> int:
        """Decodes the HEADERS frame at `at`, joined with its CONTINUATIONs; returns where they end, below 0 if they
        have not arrived or are invalid."""
        block = b""
        kind = _HEADERS
        while len(stream) >= at + 9:
            length, flags = int.from_bytes(stream[at : at + 3], "big"), stream[at + 4]
            if stream[at + 3] != kind or length + len(block) > MAX_BLOCK:
                self._fail()
                break
            payload = stream[at + 9 : at + 9 + length]
            if len(payload) < length:
                break
            block += payload if kind == _CONTINUATION else _fragment(payload, flags)
            at += 9 + length
            if flags & _END_HEADERS:
                self.request = self._decoded(block)
                return at if self.end == UNENDED else UNENDED
            kind = _CONTINUATION
        return UNENDED

    def _decoded(self, block: bytes) -> Request:
        from hpack import Decoder, HPACKError  # importing it takes a twentieth of `inspect`'s start-up, and it is rare

        if self._decoder is None:
            self._decoder = Decoder()
        fields: dict[bytes, bytes] = {}
        try:
            for name, value in self._decoder.decode(block, raw=True):
                fields.setdefault(bytes(name), bytes(value))
        except HPACKError:
            self.end = 0
            return Request()
        return Request(
            method=fields.get(b":method", b""),
            authority=fields.get(b":authority") or fields.get(b"host", b""),
            path=fields.get(b":path", b""),
            user_agent=fields.get(b"user-agent", b""),
        )


def _fragment(payload: bytes, flags: int) -> bytes:
    """Returns a HEADERS frame's payload without padding and priority (RFC 9113 §6.2)."""
    start = (1 if flags & _PADDED else 0) + (5 if flags & _PRIORITY else 0)
    padding = payload[0] if flags & _PADDED and payload else 0
    return payload[start : max(start, len(payload) - padding)]
