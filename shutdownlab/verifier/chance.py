"""What the model cannot know: every possibility is tried, and recorded with the condition it depends on. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
MOST_WAYS = 64
"""Combinations of choices tried for one measurement at most; the rest are skipped."""


class Chances:
    """The choices made while a measurement is followed; `every` enumerates all combinations."""

    def __init__(self) -> None:
        self._fixed: list[int] = []
        self._taken: list[tuple[int, int]] = []
        self._turns: dict[str, int] = {}

    def choose(self, ways: int, condition: str) -> int:
        """Returns which of `ways` possibilities is tried this time, from 0; `condition` names what decides it."""
        if ways < 2:
            return 0
        place = len(self._taken)
        way = self._fixed[place] if place < len(self._fixed) else 0
        self._taken.append((way, ways))
        self._turns[condition] = way
        return way

    def every(self, play: Callable[[], T]) -> Iterator[tuple[dict[str, int], T]]:
        """Calls `play` for each combination of choices; yields the choices by condition, and its result."""
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
    """Returns the conditions that alone change the result, the others being equal; all of them if none does."""
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
    """A DPI box's random numbers: tries the lowest and the highest possible value of each."""

    chances: Chances | None = None
    """The choices of the current measurement."""
    drawn = False
    """Whether any number was drawn that affects a decision."""

    def random(self) -> float:
        """Returns 0.0, below every probability but 0, or the highest float below 1, above every probability but 1."""
        return (0.0, 1.0 - 2**-53)[self._way("what the box draws")]

    def randint(self, a: int, b: int) -> int:
        return (a, b)[self._way(f"how many packets the box looks at, {a} to {b}")]

    def randrange(self, *_: Any, **__: Any) -> int:
        """Returns 0: only identification numbers are drawn by this, and no decision depends on them."""
        return 0

    def _way(self, condition: str) -> int:
        self.drawn = True
        return self.chances.choose(2, condition) if self.chances is not None else 0
