"""What a box decides by chance, drawn for each connection by itself.

A connection's lot hangs on the seed, its addresses, ports and the sequence number that it began with, and on nothing
else that the box sees, in whatever order: a capture of a run is judged as the run's box did.
"""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import Final

from shutdownlab.inspection.flow import Flow

RST: Final = -1
FROM_SERVER: Final = -2
FIN: Final = -3
BUDGET: Final = -4


class Lots:
    """`chance` stands in for what would be drawn by `seed`."""

    def __init__(self, seed: int, chance: random.Random | None) -> None:
        self.seed = str(seed).encode()[:64]
        self.chance = chance

    def draw(self, flow: Flow, what: int) -> float:
        """From 0 up to 1, once for a connection and what is drawn for: a rule, by its index, or one of those above."""
        draws = flow.draws
        if draws is None:
            draws = flow.draws = {}
        drawn = draws.get(what, -1.0)
        if drawn < 0.0:
            drawn = self._drawn(flow, what) if self.chance is None else self.chance.random()
            draws[what] = drawn
        return drawn

    def between(self, flow: Flow, low: int, high: int) -> int:
        """How many packets with payload the box looks at."""
        if self.chance is not None:
            return self.chance.randint(low, high)
        return low + int(self._drawn(flow, BUDGET) * (high - low + 1))

    def _drawn(self, flow: Flow, what: int) -> float:
        text = flow.key + flow.first_seq.to_bytes(4, "big") + what.to_bytes(4, "big", signed=True)
        return int.from_bytes(blake2b(text, digest_size=6, key=self.seed).digest(), "big") / (1 << 48)
