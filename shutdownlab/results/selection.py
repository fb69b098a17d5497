"""The cells that a run measures, if not all of them; the others are held. Pure.

A held cell has, by the model, the same outcome as before: it is not measured, and its row says so.
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
"""The file of a run directory that holds the selection."""


class Selection(BaseModel):
    """The cells that a run measures, by phase: a cell's number is its place in the phase, as in results.csv, from 0.

    A phase without any is skipped: no orders are given for it, and nothing in it is measured.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    changed_since: str
    """The baseline of the changes, as the user named it: a file, a git revision or a run."""
    sample: Annotated[float, Field(ge=0, le=1)]
    """The share of the other cells of these phases that is measured as well."""
    changed: dict[str, tuple[Count, ...]]
    """The cells whose outcome differs by the model, or for which it cannot rule that out."""
    drawn: dict[str, tuple[Count, ...]] = {}
    """The cells drawn for the sample."""

    def of(self, phase: str) -> frozenset[int]:
        """Returns the numbers of the cells of a phase that are measured."""
        return frozenset((*self.changed.get(phase, ()), *self.drawn.get(phase, ())))

    def walks(self, phase: str) -> bool:
        """Returns whether anything in a phase is measured."""
        return bool(self.changed.get(phase) or self.drawn.get(phase))

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that are measured."""
        return tuple(phase for phase in self.changed | self.drawn if self.walks(phase))


def to_leave(
    shutdown: Shutdown, held: Mapping[str, Mapping[str, Result]], phases: Iterable[Phase], first: Phase
) -> dict[str, Result]:
    """Returns the cells of phase `first` that no cell measured in `phases` corresponds to, with their held results.

    held: for each phase, the results of the cells that are not measured, by `Cell.id`.
    """
    used = {
        cell.without_phase
        for phase in phases
        for cell in cells_of(shutdown, phase)
        if cell.id not in held.get(phase.phase, {})
    }
    cells = {cell.id: cell.without_phase for cell in cells_of(shutdown, first)}
    return {name: result for name, result in held.get(first.phase, {}).items() if cells[name] not in used}


def measured_of(results: Iterable[Result]) -> list[Result]:
    """Returns the results that are not held."""
    return [result for result in results if not result.held]
