"""Which cells need not be measured again, because they cannot differ from a measurement in an earlier phase. Pure.

By the verifier (`classes`), these are cells of the same vantage point, target and family, if nothing that decides about
their packets has changed. The behaviour of a user's own programs is unknown, so such cells are always measured.
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
"""By phase and cell (`Cell.id`): the earlier phase whose measurement stands for it."""


def share_of(given: float | None, where: str) -> float:
    """Returns the share of phases in which repeated cells are measured again, 1 for None; raises `BadInput`.

    `given` must be from 0 to 1; `where` names it in messages.
    """
    if given is None:
        return 1.0
    return a_share(given, where, "0.1: in one of ten phases what repeats is measured again")


def held_cells(shutdown: Shutdown, choices: Mapping[str, str], phases: Sequence[Phase], share: float) -> Held:
    """Returns the cells that are held in each phase if only a share of the phases measure repeated cells again.

    A cell that has not been measured yet is always measured. A phase with other cells either measures all of them, or
    holds those that repeat. The selection is deterministic, so that a run can be resumed and verified with the same
    cells: multiples of the golden ratio are evenly distributed, without a period that could coincide with alternating
    nights and days (Weyl, 1916).
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
    """Returns a key that is equal for cells that cannot differ; None if that cannot be known."""
    if cell.vantage is None:  # an observation from outside may depend on any policy in force
        by = phase.phase if phase.faults or phase.obey else tuple(sorted(classes.active(phase)))
        return by, cell.operator, cell.target, cell.family
    if classes.shutdown.scenario.probes[cell.target].programs:
        return None
    return classes.of(phase, cell, cell.vantage), cell.vantage.id, cell.target, cell.family
