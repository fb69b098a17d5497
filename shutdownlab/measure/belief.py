"""Decides what is believed of a cell, from its tries and the controls measured beside them. Pure.

A success is believed at once unless it is `doubtful`, and so is an error of the probe itself or the loss of its agent.
Any other outcome needs two consecutive tries that agree and, after the first ended and before the second began, a
success of every control that either try needs: a fault of the testbed that lasted through both tries would have shown
then. A control that fails meanwhile refutes the tries before it. A try that says nothing, as some process of the
country was starved of CPU during it, is passed over, wherever it comes. The expected outcome plays no part.

A known cause (a fault of the scenario, or withdrawn routes) can take away what the cell needs. Controls of exactly that
need which fail between the tries confirm it; controls of any other need refute the tries as usual.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Proof


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a cell. `began`, `ended`: seconds on the controls' clock. `doubtful`: load may have caused it.

    A `doubtful` success needs a second try to be believed. `needs`: names of the controls that vouch for the try.
    `void`: the try does not count, because some process of the country was starved of CPU during it.
    """

    outcome: Outcome
    began: float
    ended: float
    doubtful: bool = False
    needs: tuple[str, ...] = ()
    void: bool = False

    @property
    def counts(self) -> bool:
        """Whether it says anything: void and `unknown` tries do not."""
        return not self.void and self.outcome is not Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Belief:
    """What follows from the tries so far.

    believed: no further try is needed. missing: names of the controls that must succeed before any further try begins;
    a try that says nothing needs none.
    proofs: the controls that vouch for the outcome or, if it is not believed, those that failed. refuted: the number of
    tries that do not count, because they say nothing or a control failed during or after them. taken: the belief is
    that what the cell needs has been taken away; `proofs` are then the controls that show it.
    """

    believed: bool
    missing: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    refuted: int = 0
    taken: bool = False


UNTRIED = Belief(False)
_CONTROLLED = frozenset({Outcome.BLOCKED, Outcome.THROTTLED})
"""Outcomes that a fault of the testbed can cause."""


def judge(tries: Sequence[Try], history: Mapping[str, Sequence[Proof]], *, excused: Collection[str] = ()) -> Belief:
    """Judges a cell by its tries (at least one) and the results of its controls, both in order of time.

    excused: names of the controls whose target may have been taken away.
    """
    if tries[-1].outcome not in _CONTROLLED and not tries[-1].doubtful:
        return Belief(True)
    counting = [each for each in tries if each.counts]
    if not counting:
        return Belief(False, refuted=len(tries))
    last = counting[-1]
    names = (name for each in counting[-2:] for name in each.needs)
    needed: Collection[str] = dict.fromkeys(names) if last.outcome in _CONTROLLED else ()
    proofs = {name: history.get(name, ()) for name in needed}
    if (found := _excuse(counting, {name: proofs[name] for name in excused if name in proofs})) is not None:
        return replace(found, refuted=len(tries) - len(counting))
    lacking = (n for n, shown in proofs.items() if not any(p.began >= last.ended and not p.failure for p in shown))
    missing = tuple(lacking)
    failed = {name: p for name, shown in proofs.items() for p in shown if p.failure and p.ended >= tries[0].began}
    refuted = sum(not each.counts or any(each.began <= p.ended for p in failed.values()) for each in tries)
    not_yet = Belief(False, missing, tuple(failed.values()), refuted)
    if not _agree(counting):
        return not_yet
    first, vouchers = counting[-2], []
    for shown in proofs.values():
        beside = [p for p in shown if p.ended >= first.began and p.began <= last.ended]
        between = [p for p in beside if p.began >= first.ended and p.ended <= last.began]
        if not between or any(p.failure for p in beside):
            return not_yet
        vouchers.append(between[-1])
    return Belief(True, missing, tuple(vouchers))


def _agree(tries: Sequence[Try]) -> bool:
    """Whether the last two of these tries, which all count, have the same outcome."""
    return len(tries) >= 2 and tries[-2].outcome is tries[-1].outcome


def _excuse(tries: Sequence[Try], proofs: Mapping[str, Sequence[Proof]]) -> Belief | None:
    """Returns the belief if an excused control failed between the last two tries or since the last one, else None."""
    last = tries[-1]
    if _agree(tries):
        between = [
            p for shown in proofs.values() for p in shown if p.began >= tries[-2].ended and p.ended <= last.began
        ]
        failed = tuple(proof for proof in between if proof.failure)
        if failed:
            return Belief(True, proofs=failed, taken=True)
    since = [p for shown in proofs.values() for p in shown if p.began >= last.ended and p.failure]
    return Belief(False) if since else None
