"""Mutations of byte strings, repeatable from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

INTERESTING = (0x00, 0x01, 0x03, 0x07, 0x0D, 0x16, 0x20, 0x3A, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFE, 0xFF)


class Mutator:
    """Bends valid inputs: a few edits each, now and then spliced with another one."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def mutate(self, data: bytes, others: Sequence[bytes] = ()) -> bytes:
        """One to six edits; one input in eight is left as it is."""
        rng = self.rng
        work = bytearray(data)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 6))):
            self._edit(work, others)
        return bytes(work)

    def _edit(self, work: bytearray, others: Sequence[bytes]) -> None:
        rng = self.rng
        size = len(work)
        kind = rng.randrange(10)
        at = rng.randrange(size) if size else 0
        # Half of all edits fall on the first 64 bytes, where the headers are.
        if size > 64 and rng.random() < 0.5:
            at = rng.randrange(64)
        if kind == 0 and size:
            work[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and size:
            work[at] = rng.randrange(256)
        elif kind == 2 and size:
            work[at] = rng.choice(INTERESTING)
        elif kind == 3 and size > 1:
            value = rng.choice((0, 1, size, size - at, 0xFFFF, 0x7FFF, 0x4000, rng.randrange(65536)))
            work[at : at + 2] = value.to_bytes(2, "big") if value < 65536 else b"\xff\xff"
        elif kind == 4:
            del work[at:]
        elif kind == 5:
            del work[at : at + rng.randrange(1, 17)]
        elif kind == 6:
            work[at:at] = work[at : at + rng.randrange(1, 65)]
        elif kind == 7:
            work[at:at] = rng.randbytes(rng.randrange(1, 17))
        elif kind == 8 and others:
            other = rng.choice(others)
            work[at:] = other[rng.randrange(len(other) + 1) :]
        elif kind == 9:
            work += bytes((rng.choice(INTERESTING),)) * rng.randrange(1, 200)
