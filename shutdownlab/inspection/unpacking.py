"""Decompresses files as far as their data is intact: gzip, bzip2, xz and its forerunner lzma, Zstandard and LZ4."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

CUT_OFF: Final = "the compressed data ends in the middle"
LEFT_OUT: Final = "the bytes after the compressed data were left out"


class Decompressor(Protocol):
    """Decompresses one member of a file; the interface of Python's own decompressors and those of packages."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


_SKIPPABLE: Final = b"*M\x18"
"""What follows the first byte, 0x50 to 0x5f, of a skippable frame."""
_SKIPPABLE_HEADER: Final = 8


class Packing(NamedTuple):
    """A compression format: its name, magic number, and a factory of its decompressor.

    skips: whether frames may be skippable, as Zstandard's and LZ4's (RFC 8878, 3.1.2): `pzstd` writes one before each.
    """

    name: str
    magic: bytes
    begin: Callable[[], Any]
    skips: bool = False

    def begins(self, data: bytes) -> bool:
        """Whether a member of this format may begin with `data`, of which there is at least one byte."""
        known = data[: len(self.magic)]
        skippable = self.skips and known[0] >> 4 == 5 and _SKIPPABLE.startswith(known[1:])
        return skippable or self.magic.startswith(known)


class _Frame:
    """Decompresses a frame of Zstandard or LZ4, or passes over a skippable one. `begin`: gives its decompressor."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self._inside: Any = None
        self._start, self._left = b"", 0
        self.eof, self.unused_data = False, b""

    def decompress(self, data: bytes) -> bytes:
        if self._left:
            self._skip(data)
            return b""
        if self._inside is None:
            self._start += data
            if len(self._start) < _SKIPPABLE_HEADER:
                return b""
            if self._start[1:4] == _SKIPPABLE:
                self._left = _SKIPPABLE_HEADER + int.from_bytes(self._start[4:8], "little")
                self._skip(self._start)
                return b""
            self._inside, data = self._begin(), self._start
        found: bytes = self._inside.decompress(data)
        self.eof, self.unused_data = self._inside.eof, self._inside.unused_data or b""
        return found

    def _skip(self, data: bytes) -> None:
        self.unused_data = data[self._left :]
        self._left -= min(self._left, len(data))
        self.eof = not self._left


def _zstd() -> Any:
    import zstandard  # imported here because few captures need it

    return zstandard.ZstdDecompressor().decompressobj()


def _lz4() -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


PACKINGS: Final = (
    Packing("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    Packing("lzma", b"\x5d\0\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE)),
    Packing("zstd", b"\x28\xb5\x2f\xfd", lambda: _Frame(_zstd), skips=True),
    Packing("lz4", b"\x04\x22\x4d\x18", lambda: _Frame(_lz4), skips=True),
)
LONGEST_MAGIC: Final = max(len(packing.magic) for packing in PACKINGS)
_PIECE: Final = 4096
"""Compressed bytes decompressed at once, which bounds the output per step even for a decompression bomb."""


def packing_of(start: bytes) -> Packing | None:
    """Returns the compression format of a file with these first bytes; None if it has none, or an unsupported one."""
    return next((each for each in PACKINGS if len(start) >= len(each.magic) and each.begins(start)), None)


class Unpacked:
    """The decompressed content of a stream: all its members, up to the first damage, which gives a warning."""

    def __init__(self, taken: bytes, stream: BinaryIO, packing: Packing, warn: list[str], name: str) -> None:
        """`taken`: the bytes already read from `stream`. Warnings are appended to `warn`, prefixed with `name`."""
        self._taken = taken
        self._stream: BinaryIO | io.BytesIO = stream
        self._packing = packing
        self._warn = warn
        self._name = name
        self._member: Decompressor = packing.begin()
        self._begun = False
        self._fresh = True
        """Whether nothing was decompressed of the current member so far."""

    def read(self, size: int) -> bytes:
        """Returns at least `size` bytes, or fewer (in the end none) where the data ends."""
        parts: list[bytes] = []
        have = 0
        while have < size:
            if not self._taken:
                self._taken = self._stream.read(size)
            data, self._taken = self._taken[:_PIECE], self._taken[_PIECE:]
            if not data:
                if self._begun and not self._member.eof:
                    self._warn.append(f"{self._name}: {CUT_OFF}")
                self._begun = False
                break
            if self._member.eof:
                if not self._packing.begins(data):
                    if data.strip(b"\0"):  # zeros are padding to whole blocks
                        self._warn.append(f"{self._name}: {LEFT_OUT}")
                    self._begun, self._taken, self._stream = False, b"", io.BytesIO()
                    break
                self._member = self._packing.begin()
                self._fresh = True
            self._begun = True
            try:
                found = self._member.decompress(data)
            except Exception as error:  # each library has errors of its own
                if self._fresh:
                    parts.append(self._salvaged(data))
                self._warn.append(f"{self._name}: the compressed data is damaged ({error})")
                self._begun, self._taken, self._stream = False, b"", io.BytesIO()
                break
            self._taken = (self._member.unused_data or b"") + self._taken if self._member.eof else self._taken
            parts.append(found)
            have += len(found)
            self._fresh = self._member.eof
        return b"".join(parts)

    def _salvaged(self, data: bytes) -> bytes:
        """Returns what a member gives before the damage in its first piece, by taking that byte by byte."""
        member = self._packing.begin()
        found = []
        for at in range(len(data)):
            try:
                found.append(member.decompress(data[at : at + 1]))
            except Exception:  # as above
                break
        return b"".join(found)
