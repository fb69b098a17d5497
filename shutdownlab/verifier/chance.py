"""What the model cannot know: every way it could turn out is played, and told with what it hangs on. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
MOST_WAYS = 64
"""Of more ways than this that one measurement could take, the rest are not played."""


class Chances:
    """The turns that one measurement took; `every` plays them all."""

    def __init__(self) -> None:
        self._fixed: list[int] = []
        self._taken: list[tuple[int, int]] = []
        self._turns: dict[str, int] = {}

    def choose(self, ways: int, condition: str) -> int:
        """Which of so many ways it goes this time; `condition` says on what that hangs."""
        if ways < 2:
            return 0
        place = len(self._taken)
        way = self._fixed[place] if place < len(self._fixed) else 0
        self._taken.append((way, ways))
        self._turns[condition] = way
        return way

    def every(self, play: Callable[[], T]) -> Iterator[tuple[dict[str, int], T]]:
        """Each way that `play` can go, turn by turn, with what comes of it."""
        for _ in range(MOST_WAYS):
            self._taken, self._turns = [], {}
            found = play()
            yield self._turns, found
            while self._taken and self._taken[-1][0] + 1 == self._taken[-1][1]:
                self._taken.pop()
            if not self._taken:
                return
            way, _ = self._taken.pop()
            self._fixed = [*(taken for taken, _ in self._taken), way + 1]


def deciding(played: Sequence[tuple[dict[str, int], T]]) -> tuple[str, ...]:
    """The conditions that make a difference by themselves; all of them where none does."""
    conditions = dict.fromkeys(condition for turns, _ in played for condition in turns)
    found = []
    for condition in conditions:
        outcomes: dict[frozenset[tuple[str, int]], T] = {}
        for turns, outcome in played:
            others = frozenset(turn for turn in turns.items() if turn[0] != condition)
            if condition in turns and outcomes.setdefault(others, outcome) != outcome:
                found.append(condition)
                break
    return tuple(found or conditions)


class Draws(random.Random):
    """Chance as a DPI box draws it: the lowest and the highest there is, one after the other.

    `chances` is of the measurement in hand.
    """

    chances: Chances | None = None
    drawn = False
    """Whether anything was drawn that decides."""

    def random(self) -> float:
        """Certain to be below any probability but nothing, or above any but certainty."""
        return (0.0, 1.0 - 2**-53)[self._way("what the box draws")]

    def randint(self, a: int, b: int) -> int:
        return (a, b)[self._way(f"how many packets the box looks at, {a} to {b}")]

    def randrange(self, *_: Any, **__: Any) -> int:
        """Identification numbers, which decide nothing."""
        return 0

    def _way(self, condition: str) -> int:
        self.drawn = True
        return self.chances.choose(2, condition) if self.chances is not None else 0
