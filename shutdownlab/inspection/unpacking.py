"""Compressed files, read as far as their data is sound: gzip, bzip2, xz, Zstandard and LZ4."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

CUT_OFF: Final = "the compressed data ends in the middle"


class Decompressor(Protocol):
    """Of one member of a file, as Python's own and those of packages have it."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class Packing(NamedTuple):
    """How files are compressed: what they begin with, and what reads them."""

    name: str
    magic: bytes
    begin: Callable[[], Any]


def _zstd() -> Any:
    import zstandard  # most captures are not compressed so

    return zstandard.ZstdDecompressor().decompressobj()


def _lz4() -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


PACKINGS: Final = (
    Packing("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(31)),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    Packing("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    Packing("lz4", b"\x04\x22\x4d\x18", _lz4),
)
LONGEST_MAGIC: Final = max(len(packing.magic) for packing in PACKINGS)
_PIECE: Final = 4096
"""Compressed bytes that are given at once: what they come to is bounded so, whatever made them."""


def packing_of(start: bytes) -> Packing | None:
    """How a file that starts like this is compressed; None if it is not, or in a way that is not read."""
    return next((packing for packing in PACKINGS if start.startswith(packing.magic)), None)


class Unpacked:
    """What a compressed stream holds; one member after the other, up to whatever is damaged."""

    def __init__(self, taken: bytes, stream: BinaryIO, packing: Packing, warn: list[str], name: str) -> None:
        """`taken`: what was read of the stream already."""
        self._taken = taken
        self._stream: BinaryIO | io.BytesIO = stream
        self._packing = packing
        self._warn = warn
        self._name = name
        self._member: Decompressor = packing.begin()
        self._begun = False

    def read(self, size: int) -> bytes:
        """Some bytes, about `size`; none at the end."""
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
                if not data.startswith(self._packing.magic[: len(data)]):
                    if data.strip(b"\0"):  # which pads to whole blocks
                        self._warn.append(f"{self._name}: what follows the compressed data is none, and was left out")
                    self._begun, self._taken, self._stream = False, b"", io.BytesIO()
                    break
                self._member = self._packing.begin()
            self._begun = True
            try:
                found = self._member.decompress(data)
            except Exception as error:  # each library has errors of its own
                self._warn.append(f"{self._name}: the compressed data is damaged ({error})")
                self._begun, self._taken, self._stream = False, b"", io.BytesIO()
                break
            self._taken = (self._member.unused_data or b"") + self._taken if self._member.eof else self._taken
            parts.append(found)
            have += len(found)
        return b"".join(parts)
