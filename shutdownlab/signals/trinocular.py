"""Trinocular's belief that a block of addresses is up, inferred from replies to a few probes. Pure.

Quan, Heidemann and Pradkin, "Trinocular: Understanding Internet Reliability Through Adaptive Probing", SIGCOMM 2013,
table 2, with the constants of CAIDA's implementation (trinarkular): rounds of 10 minutes, belief between 0.01 and 0.99,
up above 0.9 and down below 0.1, and at most 14 probes per round until the state is certain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

ROUND_S: Final = 600
MOST_PROBES: Final = 14
"""Maximum number of probes per block and round."""
ADDRESSES: Final = 256
_LOSS: Final = 0.01
ANSWERS_WHEN_DOWN: Final = (1 - _LOSS) / ADDRESSES
"""Probability that a probe of a block that is down is answered, by a single router for instance."""
LOWEST, HIGHEST, FIRST = 0.01, 0.99, 0.99
UP, DOWN = 0.9, 0.1
State = Literal["up", "down", "uncertain"]


def state_of(belief: float) -> State:
    """Converts the belief that a block is up (0 to 1) to a state."""
    return "up" if belief > UP else "down" if belief < DOWN else "uncertain"


def updated(belief: float, availability: float, *, answered: bool) -> float:
    """Returns the belief after one probe. availability: share of the block's addresses that answer while it is up."""
    up = availability if answered else 1 - availability
    down = ANSWERS_WHEN_DOWN if answered else 1 - ANSWERS_WHEN_DOWN
    whole = up * belief + down * (1 - belief)
    return min(HIGHEST, max(LOWEST, up * belief / whole))


@dataclass(slots=True)
class Block:
    """A probed /24. availability: see `updated`; above 0 (Trinocular leaves out blocks below 0.1). belief: that it is
    up.
    """

    availability: float
    belief: float = FIRST
    probes: int = 0
    """Number of probes sent in this round."""

    def begin_round(self) -> None:
        """Begins a round, in which at least one probe is sent."""
        self.probes = 0

    @property
    def wants_a_probe(self) -> bool:
        """Whether this round needs another probe."""
        return not self.probes or (self.probes < MOST_PROBES and state_of(self.belief) == "uncertain")

    def hear(self, *, answered: bool) -> State:
        """Updates the belief with the result of a probe; returns the new state."""
        self.probes += 1
        self.belief = updated(self.belief, self.availability, answered=answered)
        return state_of(self.belief)


def silence(availability: float) -> Iterator[float]:
    """Yields the belief in a block that was up after each unanswered probe, until the block counts as down."""
    belief = FIRST
    while state_of(belief) != "down":
        belief = updated(belief, availability, answered=False)
        yield belief
