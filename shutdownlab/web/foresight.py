"""What the model expects of a moment before it is measured: the cells that an order changes are probed first. Pure.

It decides only what is tried first. What a cell is comes from its probes alone.
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
"""Cells measured beside those that change: by those that get through it is known whether the machine was slow."""
_HOPELESS: Final = frozenset({Outcome.BLOCKED, Outcome.DOWN})


def key_of(cell: Cell) -> Key:
    """What a vantage point's cell has in common with the same one of other moments."""
    assert cell.vantage is not None, "what is seen from outside is not measured here"
    return str(cell.vantage.id), cell.target, cell.family.value


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Of one moment. verifier: which its explanations can be had of, too."""

    verifier: Verifier
    outcomes: Mapping[Key, Outcome]

    def hopeless(self, cell: Cell) -> bool:
        """Whether it will likely fail, so that it is tried before others, which work while it waits."""
        return self.outcomes.get(key_of(cell)) in _HOPELESS

    def changes(self, cell: Cell, known: Mapping[Key, Outcome]) -> bool:
        """Whether it comes out otherwise than it did last; what has never been measured does."""
        key = key_of(cell)
        return self.outcomes.get(key, Outcome.UNKNOWN) is not known.get(key)


def foresee(shutdown: Shutdown, phase: str) -> Foreseen:
    """What the cells of a phase come out as by the model."""
    verifier = Verifier(shutdown, {})
    wanted = shutdown.scenario.phase(phase)
    cells = [cell for cell in cells_of(shutdown, wanted) if cell.vantage is not None]
    return Foreseen(verifier, {key_of(cell): verifier.verdict(wanted, cell).outcome for cell in cells})


def batches(
    cells: Sequence[Cell], foreseen: Foreseen | None, known: Mapping[Key, Outcome]
) -> tuple[list[Cell], list[Cell]]:
    """What to measure at once, and what after that: first the cells that change, with as many of the others as show
    how fast the machine is. known: what the cells came out as last."""
    if foreseen is None:
        return list(cells), []
    changed = [cell for cell in cells if foreseen.changes(cell, known)]
    others = [cell for cell in cells if not foreseen.changes(cell, known)]
    step = max(1, -(-len(others) // _WITNESSES))
    witnesses = others[::step]
    rest = [cell for place, cell in enumerate(others) if place % step]
    return [*changed, *witnesses], rest
