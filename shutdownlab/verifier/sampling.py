"""Which cells need not be measured again: those that cannot differ from what was measured in an earlier phase. Pure.

What cannot differ is the verifier's account (`classes`): the same vantage point, target and family, where nothing that
decides about its packets has changed. What programs of the user's own do nobody knows: they are always measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import a_share
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.classes import Classes

_GOLDEN: Final = (5**0.5 - 1) / 2

Held = Mapping[str, Mapping[str, str]]
"""By phase, by cell (`Cell.id`): the phase whose measurement stands for it."""


def share_of(given: float | None, where: str) -> float:
    """The share of phases with repeated cells in which these are measured; raises `BadInput` unless it is 0 to 1."""
    if given is None:
        return 1.0
    return a_share(given, where, "0.1: in one of ten phases what repeats is measured again")


def held_cells(shutdown: Shutdown, choices: Mapping[str, str], phases: Sequence[Phase], share: float) -> Held:
    """What is held where of the phases that repeat something only a share is measured.

    What has not been measured yet always is. Of the phases that have anything else, some are measured whole, in the
    others what repeats is held. Which they are is no lot, so that a run can be resumed, and verified, with the same:
    multiples of the golden ratio spread evenly, and keep no step with nights and days that take turns (Weyl, 1916).
    """
    held: dict[str, dict[str, str]] = {}
    if share >= 1:
        return held
    classes = Classes(shutdown, choices, by_name=True)
    measured: dict[Hashable, str] = {}
    repeating = 0
    for phase in phases:
        alike = {cell.id: _alike(classes, phase, cell) for cell in cells_of(shutdown, phase)}
        again = {cell: measured[key] for cell, key in alike.items() if key is not None and key in measured}
        if again:
            repeating += 1
            if repeating * _GOLDEN % 1 >= share:
                held[phase.phase] = again
        for cell, key in alike.items():
            if key is not None and cell not in held.get(phase.phase, {}):
                measured[key] = phase.phase
    return held


def _alike(classes: Classes, phase: Phase, cell: Cell) -> Hashable | None:
    """What two cells have in common that cannot differ; None of what nobody can tell."""
    if cell.vantage is None:  # what is seen from outside may hang on anything that is in force
        by = phase.phase if phase.faults or phase.obey else tuple(sorted(classes.active(phase)))
        return by, cell.operator, cell.target, cell.family
    if classes.shutdown.scenario.probes[cell.target].programs:
        return None
    return classes.of(phase, cell, cell.vantage), cell.vantage.id, cell.target, cell.family
