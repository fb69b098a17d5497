"""A probe on its way to a verdict: how its tries came out, and what is believed of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from shutdownlab.measure.belief import UNTRIED, Belief, Try
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement, ProbeRequest

PATIENCE: Final = (0.4, 0.5, 2.0, 3.0)
"""Of each try; scales the requests' own, which the concurrency limit scales where the machine is slow.

A second try need not be much more patient than the first one: the controls between the two, which have no more patience
than a first try, have shown that the machine answers as fast as that.
"""

REFUTED: Final = "unknown_failure: controls failed:"
"""How the failure of a cell begins whose outcome its controls refute."""


class HeldUp(Protocol):
    """Who had no processor for so many seconds or more in all between two moments; `keepers`: of those only who end
    connections and begin others in their place. A sentence, "" of nobody."""

    def __call__(self, began: float, ended: float, seconds: float, *, keepers: bool) -> str: ...


def nobody_held_up(began: float, ended: float, seconds: float, *, keepers: bool) -> str:
    """Where it is not known."""
    return ""


@dataclass(frozen=True, slots=True)
class Round:
    """Until so many tries of a probe stand; `part` of the concurrency limit's window is used."""

    tries: int
    part: float


@dataclass(slots=True, eq=False)
class Task:
    """A probe and how it came out so far. `hopeless`: likely to fail, so that it goes first."""

    agent: str
    request: ProbeRequest
    hopeless: bool
    tries: list[Try] = field(default_factory=list)
    found: Measurement | None = None
    judgement: Belief = UNTRIED
    waits: int = 0
    """How often in a row it has waited for controls."""
    disturbed: bool = False
    """Whether it has failed on a slowed line that carried something."""
    share: float = PATIENCE[0]
    """Of the request's own patience, what its last try had."""
    patience: float = 0.0
    """That in seconds, of a step."""
    starved: str = ""
    """What of the testbed had no processor during the last try, so that it says nothing; "" where nothing had."""

    @property
    def kind(self) -> tuple[str, str, str, float, bool]:
        """What takes the same time in every phase, as long as it succeeds: over lines that are as long and as fast.

        On a worse line the same probe takes longer, which is no sign of a crowded machine.
        """
        request = self.request
        return self.agent, request.name, request.family, request.timeout, request.slowed

    @property
    def succeeded(self) -> bool:
        """Whether it came out ok, and nothing else can have caused that."""
        return self.found is not None and self.found.outcome is Outcome.OK and not self.found.doubtful

    @property
    def standing(self) -> int:
        """How many of its tries no control has refuted."""
        return len(self.tries) - self.judgement.refuted

    @property
    def confirmed(self) -> bool:
        """Whether enough is known to believe it (see `belief`)."""
        return self.judgement.believed

    @property
    def certain(self) -> bool:
        """Whether it is confirmed, and load cannot have caused it."""
        sure = self.found is not None and not self.found.doubtful
        return self.confirmed and (sure or self.judgement.taken)

    @property
    def waits_for_quiet(self) -> bool:
        """Whether it waits until its place is quiet, as a download does and a second try on a line that is slowed."""
        return self.request.alone or (bool(self.tries) and self.request.slowed)

    @property
    def opens(self) -> bool:
        """Whether its first try comes before all others of its place: it takes a second one as long as the first.

        Only on a line that is slowed: a box that blocks it may remember, and block what comes after it.
        """
        return self.hopeless and self.request.alone and self.request.slowed and not self.tries

    @property
    def needs_the_line(self) -> bool:
        """Whether anything at all that is under way at its place would disturb it, even what works no more."""
        return self.request.alone or self.disturbed

    @property
    def rests(self) -> bool:
        """Whether somebody on the way still counts what its last try has sent."""
        return bool(self.tries) and time.monotonic() < self.tries[-1].ended + self.request.rests

    def learn(self, found: Measurement, needs: tuple[str, ...], began: float, ended: float) -> None:
        """Another try has come out, for which controls of these names vouch.

        Where it bears out a failure that load cannot have caused, that one is what is told: it met the network as it
        was, the next may meet what it has left behind (a residual block, a router's limit on ICMP errors).
        """
        self.tries.append(Try(found.outcome, began, ended, found.doubtful, needs, void=bool(self.starved)))
        before = self.found
        if before is not None and before.outcome is found.outcome is Outcome.BLOCKED and not before.doubtful:
            found = before
        self.found = replace(found, passes=len(self.tries))

    def result(self, *, believed: bool = True) -> tuple[str, ProbeRequest, Measurement]:
        """What came out. `believed`: no for what is still doubtful at the end, which is no verdict on the network."""
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
