"""The model's prediction of a moment before it is measured, so that the cells that an order changes are probed first.

It decides only the order of probes. A cell's outcome comes from its probes alone. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.results.cells import Cell, cells_of
from shutdownlab.verifier.verdicts import Verifier

Key: TypeAlias = tuple[str, str, str]
"""Vantage point, target, family."""

_WITNESSES: Final = 60
"""Most unchanged cells measured beside those that change: those that get through show whether the machine was slow."""
_HOPELESS: Final = frozenset({Outcome.BLOCKED, Outcome.DOWN})


def key_of(cell: Cell) -> Key:
    """Returns the key of a vantage point's cell, which is the same in all moments."""
    assert cell.vantage is not None, "what is seen from outside is not measured here"
    return str(cell.vantage.id), cell.target, cell.family.value


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The predicted outcomes of one moment, and the verifier that predicted them, which can also explain them."""

    verifier: Verifier
    outcomes: Mapping[Key, Outcome]

    def hopeless(self, cell: Cell) -> bool:
        """Whether a cell will likely fail: it is tried first, so that others can run while it waits."""
        return self.outcomes.get(key_of(cell)) in _HOPELESS

    def changes(self, cell: Cell, known: Mapping[Key, Outcome]) -> bool:
        """Whether a cell's outcome should differ from the last `known` one; True if it was never measured."""
        key = key_of(cell)
        return self.outcomes.get(key, Outcome.UNKNOWN) is not known.get(key)


def foresee(shutdown: Shutdown, phase: str) -> Foreseen:
    """Predicts the outcomes of a phase's cells by the model."""
    verifier = Verifier(shutdown, {})
    wanted = shutdown.scenario.phase(phase)
    cells = [cell for cell in cells_of(shutdown, wanted) if cell.vantage is not None]
    return Foreseen(verifier, {key_of(cell): verifier.verdict(wanted, cell).outcome for cell in cells})


def batches(
    cells: Sequence[Cell], foreseen: Foreseen | None, known: Mapping[Key, Outcome]
) -> tuple[list[Cell], list[Cell]]:
    """Returns the cells to measure first and those to measure after them.

    First come the cells that should change, with a sample of the others that shows how fast the machine is. known: the
    cells' last outcomes.
    """
    if foreseen is None:
        return list(cells), []
    changed = [cell for cell in cells if foreseen.changes(cell, known)]
    others = [cell for cell in cells if not foreseen.changes(cell, known)]
    step = max(1, -(-len(others) // _WITNESSES))
    witnesses = others[::step]
    rest = [cell for place, cell in enumerate(others) if place % step]
    return [*changed, *witnesses], rest
