"""Random draws of a box, independent for each connection.

A draw depends only on the seed and the connection's addresses, ports and initial sequence number, not on other traffic
or on packet order, so inspecting a capture of a run gives the same results as the run's box.
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
    """Draws numbers by `seed`, or from `chance` if that is given."""

    def __init__(self, seed: int, chance: random.Random | None) -> None:
        self.seed = str(seed).encode()[:64]
        self.chance = chance

    def draw(self, flow: Flow, what: int) -> float:
        """Returns a number in [0, 1), drawn once per flow and `what`: a rule's index, or one of the constants above."""
        draws = flow.draws
        if draws is None:
            draws = flow.draws = {}
        drawn = draws.get(what, -1.0)
        if drawn < 0.0:
            drawn = self._drawn(flow, what) if self.chance is None else self.chance.random()
            draws[what] = drawn
        return drawn

    def between(self, flow: Flow, low: int, high: int) -> int:
        """Returns a flow's inspection budget in packets with payload, from `low` to `high` inclusive."""
        if self.chance is not None:
            return self.chance.randint(low, high)
        return low + int(self._drawn(flow, BUDGET) * (high - low + 1))

    def _drawn(self, flow: Flow, what: int) -> float:
        text = flow.key + flow.first_seq.to_bytes(4, "big") + what.to_bytes(4, "big", signed=True)
        return int.from_bytes(blake2b(text, digest_size=6, key=self.seed).digest(), "big") / (1 << 48)
