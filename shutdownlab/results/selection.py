"""Which cells of a run are measured, where that is not all of them; the others are held. Pure.

What is held comes out, by the model, as it did before: nobody has measured it, and its row says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import cells_of
from shutdownlab.results.result import Count, Result

SELECTION: Final = "selection.json"
"""The file of a run directory that has it."""


class Selection(BaseModel):
    """The cells that a run measures, by phase: a cell's number is its place in the phase, as in results.csv, from 0.

    A phase that is not among them is passed over: no orders are given for it, and nothing of it is measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    changed_since: str
    """What the cells have changed since: a file, a revision of git or a run, as it was named."""
    sample: Annotated[float, Field(ge=0, le=1)]
    """The share of the other cells of these phases that is measured too."""
    changed: dict[str, tuple[Count, ...]]
    """The cells that come out otherwise by the model, or of which it cannot say that they do not."""
    drawn: dict[str, tuple[Count, ...]] = {}
    """Those of the sample."""

    def of(self, phase: str) -> frozenset[int]:
        """The numbers of the cells of a phase that are measured."""
        return frozenset((*self.changed.get(phase, ()), *self.drawn.get(phase, ())))

    def walks(self, phase: str) -> bool:
        """Whether a phase is measured at all."""
        return bool(self.changed.get(phase) or self.drawn.get(phase))

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that are measured."""
        return tuple(phase for phase in self.changed | self.drawn if self.walks(phase))


def to_leave(
    shutdown: Shutdown, held: Mapping[str, Mapping[str, Result]], phases: Iterable[Phase], first: Phase
) -> dict[str, Result]:
    """The cells of the first phase that say nothing of what will be measured in some phases, with their results.

    held: of each phase, by cell (`Cell.id`), the results of those that are not measured.
    """
    used = {
        cell.anywhen
        for phase in phases
        for cell in cells_of(shutdown, phase)
        if cell.id not in held.get(phase.phase, {})
    }
    cells = {cell.id: cell.anywhen for cell in cells_of(shutdown, first)}
    return {name: result for name, result in held.get(first.phase, {}).items() if cells[name] not in used}


def measured_of(results: Iterable[Result]) -> list[Result]:
    """Those that are not held."""
    return [result for result in results if not result.held]
