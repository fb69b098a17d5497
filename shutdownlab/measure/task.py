"""A probe on its way to a verdict: its tries and what is believed of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from shutdownlab.measure.belief import UNTRIED, Belief, Try
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeRequest

PATIENCE: Final = (0.4, 0.5, 2.0, 3.0)
"""Timeout factors of the first, second, … try, applied to the request's own, which grows if the machine is slow.

A second try needs hardly more time than the first: the controls between them, limited to a first try's timeout, have
shown that the machine answers that fast.
"""

REFUTED: Final = "unknown_failure: controls failed:"
"""Start of the failure text of a cell whose outcome is refuted by its controls."""


class HeldUp(Protocol):
    """Returns a sentence naming a process that waited for a CPU for at least `seconds` in total between two times.

    "" if none did. `keepers`: consider only processes that terminate connections and open others in their place.
    """

    def __call__(self, began: float, ended: float, seconds: float, *, keepers: bool) -> str: ...


def nobody_held_up(began: float, ended: float, seconds: float, *, keepers: bool) -> str:
    """Returns "": the default where nothing is sampled."""
    return ""


@dataclass(frozen=True, slots=True)
class Race:
    """What is known of a race that an on-path DPI box ran against a success.

    lost: names what may have been too late to prevent it; "": nothing. ran: whether the box tried to, in time as far as
    it knows: that it failed may be chance.
    """

    lost: str = ""
    ran: bool = False


NO_RACE: Final = Race()


class Outrun(Protocol):
    """Returns what is known of the race against a success, by its request's id, between two times."""

    def __call__(self, request: str, began: float, ended: float, /) -> Race: ...


def no_races(request: str, began: float, ended: float, /) -> Race:
    """Returns `NO_RACE`: the default where no box races."""
    return NO_RACE


@dataclass(frozen=True, slots=True)
class Round:
    """A round of tries: each probe gets up to `tries` valid tries, within `part` of the concurrency limit's window."""

    tries: int
    part: float


@dataclass(slots=True, eq=False)
class Task:
    """A probe and its tries so far. `hopeless`: it will probably fail, and so starts first."""

    agent: str
    request: ProbeRequest
    hopeless: bool
    tries: list[Try] = field(default_factory=list)
    found: Measurement | None = None
    judgement: Belief = UNTRIED
    waits: int = 0
    """How often in a row it has waited for controls."""
    disturbed: bool = False
    """Whether it has failed on a slowed line that carried other traffic."""
    cut_short: bool = False
    """Whether an answer to it had begun to come then."""
    share: float = PATIENCE[0]
    """The timeout factor of its last try (see `PATIENCE`)."""
    patience: float = 0.0
    """The timeout of a step of its last try, in seconds."""
    starved: str = ""
    """The process that was starved of CPU during the last try, which is then void; "" if none was."""

    @property
    def kind(self) -> tuple[str, str, str, float, bool]:
        """What determines a successful probe's duration in every phase: lines of equal length and speed.

        On a worse line the same probe takes longer, which does not show that the machine is crowded.
        """
        request = self.request
        return self.agent, request.name, request.family, request.timeout, request.slowed

    @property
    def succeeded(self) -> bool:
        """Whether the outcome is ok and nothing else can have caused it."""
        return self.found is not None and self.found.outcome is Outcome.OK and not self.found.doubtful

    @property
    def standing(self) -> int:
        """How many of its tries are not refuted."""
        return len(self.tries) - self.judgement.refuted

    @property
    def confirmed(self) -> bool:
        """Whether the outcome is believed (see `belief`)."""
        return self.judgement.believed

    @property
    def certain(self) -> bool:
        """Whether it is confirmed, and load cannot have caused it."""
        sure = self.found is not None and not self.found.doubtful
        return self.confirmed and (sure or self.judgement.taken)

    @property
    def waits_for_quiet(self) -> bool:
        """Whether it waits until its place is quiet, as downloads and retries on a slowed line do."""
        return self.request.alone or (bool(self.tries) and self.request.slowed)

    @property
    def opens(self) -> bool:
        """Whether its first try comes before all others of its place: it needs a second try, which takes as long.

        Only on a slowed line: a box that blocks it may remember it, and block what comes after it.
        """
        return self.hopeless and self.request.alone and self.request.slowed and not self.tries

    @property
    def needs_the_line(self) -> bool:
        """Whether anything under way at its place would disturb it, even a probe that only waits."""
        return self.request.alone or self.disturbed

    @property
    def rests(self) -> bool:
        """Whether a box on the way still counts what its last try sent."""
        return bool(self.tries) and time.monotonic() < self.tries[-1].ended + self.request.rests

    def learn(self, found: Measurement, needs: tuple[str, ...], began: float, ended: float) -> None:
        """Adds a try, for which the controls named in `needs` vouch.

        If it confirms a block that load cannot have caused, the first measurement is the one reported: it met the
        network undisturbed, while later tries may meet its after-effects (a residual block, a router's limit on ICMP
        errors).
        """
        self.tries.append(Try(found.outcome, began, ended, found.doubtful, needs, void=bool(self.starved)))
        before = self.found
        if before is not None and before.outcome is found.outcome is Outcome.BLOCKED and not before.doubtful:
            found = before
        self.found = replace(found, passes=len(self.tries))

    def result(self, *, believed: bool = True) -> tuple[str, ProbeRequest, Measurement]:
        """Returns the result. `believed`: False for a task still doubtful at the end, which is then `unknown`."""
        assert self.found is not None, "it has been tried"
        found = replace(self.found, controls=self.judgement.proofs)
        if self.judgement.taken:
            return self.agent, self.request, replace(found, taken_away=True)
        if self.certain:
            return self.agent, self.request, found
        if believed:
            return self.agent, self.request, replace(found, certainty="confirmed")
        if found.controls:
            failed = "; ".join(f"{proof.name}: {proof.failure}" for proof in found.controls)
            found = replace(found, failure=f"{REFUTED} {failed}")
        elif self.starved:
            found = replace(found, failure=f"unknown_failure: {self.starved}")
        return self.agent, self.request, replace(found, outcome=Outcome.UNKNOWN, certainty="unconfirmed")
