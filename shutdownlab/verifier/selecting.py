"""Selects the cells to measure to verify a change with real packets: those that change, and a sample. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable

from shutdownlab.results.result import Result
from shutdownlab.results.selection import Selection
from shutdownlab.verifier.compare import key_of, seen


def select(
    old: Iterable[Result], new: Iterable[Result], phases: Iterable[str], *, since: str, sample: float, seed: int
) -> Selection:
    """Selects the cells whose results differ, and a random share of the other cells of the same phases.

    old: the results before, predicted or measured.
    new: the results predicted now: every cell of these phases, in order.
    since: the baseline, as the user named it.
    sample: the share, 0 to 1; above 0, at least one cell is drawn if there are any. `seed`: of the draw.

    A cell without a verdict in either, or missing from the old results, cannot be held and counts as changed.
    """
    before = {key_of(result): result for result in old}
    places: dict[str, list[Result]] = {phase: [] for phase in phases}
    for result in new:
        if result.phase in places:
            places[result.phase].append(result)
    changed = {
        phase: tuple(number for number, result in enumerate(found) if _has_changed(before.get(key_of(result)), result))
        for phase, found in places.items()
    }
    changed = {phase: numbers for phase, numbers in changed.items() if numbers}
    rest = [
        (phase, number)
        for phase, numbers in changed.items()
        for number in sorted({*range(len(places[phase]))} - {*numbers})
    ]
    drawn: dict[str, list[int]] = {}
    count = min(len(rest), max(1, round(sample * len(rest)))) if sample > 0 else 0
    for phase, number in sorted(random.Random(seed).sample(rest, count), key=rest.index):
        drawn.setdefault(phase, []).append(number)
    return Selection(
        changed_since=since, sample=sample, changed=changed, drawn={phase: tuple(each) for phase, each in drawn.items()}
    )


def _has_changed(was: Result | None, now: Result) -> bool:
    if was is None or not (was.outcome.is_measured and now.outcome.is_measured):
        return True
    return seen(was) != seen(now)
