"""What a site comes to believe of a block, probe by probe and round by round. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.config.addresses import Address
from shutdownlab.observers.blocks import Block
from shutdownlab.signals import trinocular

_AT_ONCE: Final = 5
"""Probes of a block on their way at once."""


@dataclass(slots=True)
class WatchedBlock:
    """What a site knows of a block. `next`: which of its known addresses is probed next; `answers`: in this round.

    `silent`: probes since the last answer, in this phase; `heard`: what came of those that are not counted yet: nothing
    changes within a phase, so that several rounds' can be on their way at once.
    """

    block: Block
    site: str
    belief: trinocular.Block
    next: int = 0
    answers: int = 0
    silent: int = 0
    heard: deque[bool] = field(default_factory=deque)
    refuted: bool = False
    """Whether controls failed: nothing has been learnt."""

    def begin_phase(self) -> None:
        """What is known is believed, and nothing is known of now."""
        self.heard.clear()
        self.silent, self.refuted = 0, False

    def begin_round(self) -> None:
        self.belief.begin_round()
        self.answers = 0

    @property
    def state(self) -> trinocular.State:
        return trinocular.state_of(self.belief.belief)

    @property
    def is_settled(self) -> bool:
        """Whether it stays as it is for as long as nothing changes: it has answered, or one that is awake has not."""
        if self.answers:
            return self.state == "up"
        return self.state == "down" and self.silent > len(self.block.known) - len(self.block.awake)

    @property
    def asked_next(self) -> tuple[Address, ...]:
        """Its next few probes."""
        known = self.block.known
        return tuple(known[(self.next + number) % len(known)] for number in range(_AT_ONCE))

    def take(self, answers: Iterable[bool]) -> None:
        """What came of the next probes, to be counted one by one."""
        self.heard.extend(answers)

    def count(self) -> None:
        """Count the next one."""
        answered = self.heard.popleft()
        self.next += 1
        self.answers += answered
        self.silent = 0 if answered else self.silent + 1
        self.belief.hear(answered=answered)
