"""A site's belief in a block, updated probe by probe and round by round. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.config.addresses import Address
from shutdownlab.observers.blocks import Block
from shutdownlab.signals import trinocular

_AT_ONCE: Final = 5
"""Probes of a block in flight at once."""


@dataclass(slots=True)
class WatchedBlock:
    """A site's state for a block. `next`: the index of the known address to probe next; `answers`: answers in this
    round.

    `silent`: probes since the last answer, in this phase; `results`: of probes that are not counted yet: nothing
    changes within a phase, so that probes of several rounds can be in flight at once.
    """

    block: Block
    site: str
    belief: trinocular.Block
    next: int = 0
    answers: int = 0
    silent: int = 0
    results: deque[bool] = field(default_factory=deque)
    refuted: bool = False
    """Whether controls failed, so that the probes show nothing."""

    def begin_phase(self) -> None:
        """Starts a phase: keeps the belief from the previous one, and drops pending results."""
        self.results.clear()
        self.silent, self.refuted = 0, False

    def begin_round(self) -> None:
        self.belief.begin_round()
        self.answers = 0

    @property
    def state(self) -> trinocular.State:
        return trinocular.state_of(self.belief.belief)

    @property
    def is_settled(self) -> bool:
        """Whether the state will not change in this phase: an address answered, or one that should answer did not."""
        if self.answers:
            return self.state == "up"
        return self.state == "down" and self.silent > len(self.block.known) - len(self.block.awake)

    @property
    def asked_next(self) -> tuple[Address, ...]:
        """The addresses of its next few probes."""
        known = self.block.known
        return tuple(known[(self.next + number) % len(known)] for number in range(_AT_ONCE))

    def take(self, answers: Iterable[bool]) -> None:
        """Adds results of the next probes, to be counted one by one."""
        self.results.extend(answers)

    def count(self) -> None:
        """Counts the next result."""
        answered = self.results.popleft()
        self.next += 1
        self.answers += answered
        self.silent = 0 if answered else self.silent + 1
        self.belief.hear(answered=answered)
