"""What is believed of a cell, given its tries and the controls beside them. Pure.

A success is believed at once, and so is that the probe itself failed, or its agent was lost. Anything else takes two
tries running with the same outcome, and between them, after the first had ended and before the second began, a success
of every control that either of them needs: what was wrong with the testbed during both tries would have been wrong
then. One of these controls that failed meanwhile refutes the tries before it; a try during which something of the
country had no processor is void. What was expected plays no part.

Where something known to all can have taken away what the cell needs (a fault of the scenario, or withdrawn routes),
controls of just that which fail between the tries show that it has; those of anything else refute them, as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Proof


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a cell. `began`, `ended`: seconds by the clock of the controls. `doubtful`: load could have caused it.

    A `doubtful` success is one that only a second try makes sure of. `needs`: names of the controls that vouch for it.
    `void`: it says nothing, for something of the country had no processor meanwhile.
    """

    outcome: Outcome
    began: float
    ended: float
    doubtful: bool = False
    needs: tuple[str, ...] = ()
    void: bool = False


@dataclass(frozen=True, slots=True)
class Belief:
    """What follows from the tries so far.

    believed: no further try is needed. missing: names of the controls that must succeed before the next one begins,
    if there is to be one. proofs: the controls that vouch for the outcome; where it is not believed those that failed.
    refuted: how many tries say nothing, as they are void, or as a control failed beside or after them. taken: what
    is believed is that what it needs has been taken away; proofs are the controls that show it.
    """

    believed: bool
    missing: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    refuted: int = 0
    taken: bool = False


UNTRIED = Belief(False)


def judge(tries: Sequence[Try], history: Mapping[str, Sequence[Proof]], *, excused: Collection[str] = ()) -> Belief:
    """Judge a cell by its tries (at least one) and what controls have shown, each in order of time.

    excused: names of the controls of what can have been taken away.
    """
    last = tries[-1]
    needed: Collection[str] = dict.fromkeys(name for each in tries[-2:] for name in each.needs)
    if last.outcome not in {Outcome.BLOCKED, Outcome.THROTTLED}:
        needed = ()  # it is these that the testbed could have caused
        if not last.doubtful:
            return Belief(True)
    proofs = {name: history.get(name, ()) for name in needed}
    if (found := _excuse(tries, {name: proofs[name] for name in excused if name in proofs})) is not None:
        return found
    missing = tuple(n for n, shown in proofs.items() if not any(p.began >= last.ended and not p.failure for p in shown))
    failed = {name: p for name, shown in proofs.items() for p in shown if p.failure and p.ended >= tries[0].began}
    refuted = sum(each.void or any(each.began <= p.ended for p in failed.values()) for each in tries)
    not_yet = Belief(False, missing, tuple(failed.values()), refuted)
    if not _agree(tries):
        return not_yet
    first, vouchers = tries[-2], []
    for shown in proofs.values():
        beside = [p for p in shown if p.ended >= first.began and p.began <= last.ended]
        between = [p for p in beside if p.began >= first.ended and p.ended <= last.began]
        if not between or any(p.failure for p in beside):
            return not_yet
        vouchers.append(between[-1])
    return Belief(True, missing, tuple(vouchers))


def _agree(tries: Sequence[Try]) -> bool:
    """Whether the last two say the same, and each says something: a test that could not tell says nothing."""
    if len(tries) < 2 or tries[-1].outcome is Outcome.UNKNOWN:
        return False
    return tries[-2].outcome is tries[-1].outcome and not (tries[-2].void or tries[-1].void)


def _excuse(tries: Sequence[Try], proofs: Mapping[str, Sequence[Proof]]) -> Belief | None:
    """What follows where some control has failed since the last try, or between the last two; None: none has."""
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
