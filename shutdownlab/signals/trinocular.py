"""Trinocular's belief: whether a block of addresses is up, from the answers to a few probes. Pure.

Quan, Heidemann and Pradkin, "Trinocular: Understanding Internet Reliability Through Adaptive Probing", SIGCOMM 2013,
table 2, with the numbers of CAIDA's implementation (trinarkular): rounds of 10 minutes, belief between 0.01 and 0.99,
up above 0.9 and down below 0.1, at most 14 probes more in a round until it is one or the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

ROUND_S: Final = 600
TIMEOUT_S: Final = 3
MOST_PROBES: Final = 14
"""In a round, of one block."""
ADDRESSES: Final = 256
_LOSS: Final = 0.01
ANSWERS_WHEN_DOWN: Final = (1 - _LOSS) / ADDRESSES
"""The probability that a block that is down answers: by a single router, for instance."""
LOWEST, HIGHEST, FIRST = 0.01, 0.99, 0.99
UP, DOWN = 0.9, 0.1
State = Literal["up", "down", "uncertain"]


def state_of(belief: float) -> State:
    """What a belief that the block is up (0 to 1) says."""
    return "up" if belief > UP else "down" if belief < DOWN else "uncertain"


def updated(belief: float, availability: float, *, answered: bool) -> float:
    """The belief after one probe. availability: of the block's addresses, the share that answers while it is up."""
    up = availability if answered else 1 - availability
    down = ANSWERS_WHEN_DOWN if answered else 1 - ANSWERS_WHEN_DOWN
    whole = up * belief + down * (1 - belief)
    return min(HIGHEST, max(LOWEST, up * belief / whole))


@dataclass(slots=True)
class Block:
    """A /24 that is probed. availability: above 0; Trinocular leaves out those below 0.1. belief: that it is up."""

    availability: float
    belief: float = FIRST
    probes: int = 0
    """That were sent in this round."""

    def begin_round(self) -> None:
        """Each round sends at least one probe."""
        self.probes = 0

    @property
    def wants_a_probe(self) -> bool:
        """Whether this round needs one more."""
        return not self.probes or (self.probes < MOST_PROBES and state_of(self.belief) == "uncertain")

    def hear(self, *, answered: bool) -> State:
        """Take what became of a probe."""
        self.probes += 1
        self.belief = updated(self.belief, self.availability, answered=answered)
        return state_of(self.belief)


def silence(availability: float) -> Iterator[float]:
    """The belief in a block that was up, after each further probe without an answer, until it is down."""
    belief = FIRST
    while state_of(belief) != "down":
        belief = updated(belief, availability, answered=False)
        yield belief
