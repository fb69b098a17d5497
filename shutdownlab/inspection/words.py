"""Reads machine words from bytes: by mypyc's runtime where the package is compiled, by Python integers otherwise."""

from __future__ import annotations

import contextlib
from typing import Final

with contextlib.suppress(ImportError):  # only compiled code calls them, and its environments have them
    from librt.strings import read_i32_be, read_i32_le, read_i64_be
    from mypy_extensions import i64

COMPILED: Final = not __file__.endswith(".py")


def unsigned32(data: bytes, at: int, little: bool) -> int:
    """Returns the unsigned 32-bit number at offset `at`, where there must be four bytes."""
    if COMPILED:
        word: int = read_i32_le(data, at) if little else read_i32_be(data, at)
        return word & 0xFFFFFFFF
    return int.from_bytes(data[at : at + 4], "little" if little else "big")


def sum_of_words(data: bytes, start: int, end: int) -> int:
    """Returns a number congruent modulo 65535 to the sum of the 16-bit big-endian words of `data[start:end]`.

    An odd last byte is padded with a zero; the result is 0 only if all bytes are. Since 2^16 and 2^32 are 1 modulo
    65535, larger words may be summed instead, or the whole slice reduced as one number.
    """
    if COMPILED:
        return _add_up(data, start, end)
    piece = data[start:end]
    number = int.from_bytes(piece, "big") << (8 if len(piece) & 1 else 0)
    return (number % 65535 or 65535) if number else 0


def _add_up(data: bytes, start: int, end: int) -> int:
    total: i64 = 0
    at: i64 = start
    stop: i64 = end
    while at + 8 <= stop:
        word = read_i64_be(data, at)
        total += ((word >> 32) & 0xFFFFFFFF) + (word & 0xFFFFFFFF)
        at += 8
    while at + 2 <= stop:
        total += (i64(data[at]) << 8) | i64(data[at + 1])
        at += 2
    if at < stop:
        total += i64(data[at]) << 8
    return total
