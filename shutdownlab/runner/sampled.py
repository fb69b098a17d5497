"""What a run with `--sample` has measured, and what of it stands for cells that it does not measure again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import cells_of
from shutdownlab.results.result import Result
from shutdownlab.verifier.sampling import held_cells, share_of


class Sampled:
    """Results by phase and cell. share: of phases that repeat something, in how many it is measured; None: in all.

    modelled: results of cells that are not measured whatever else is, as the model has them.
    """

    def __init__(
        self,
        shutdown: Shutdown,
        choices: Mapping[str, str],
        phases: Sequence[Phase],
        share: float | None,
        modelled: Mapping[str, Mapping[str, Result]] = MappingProxyType({}),
    ) -> None:
        self._shutdown, self._modelled = shutdown, modelled
        self._held = held_cells(shutdown, choices, phases, share_of(share, "sample"))
        self._measured: dict[str, Result] = {}

    def keep(self, results: Iterable[Result]) -> None:
        """Remember what has been measured."""
        if self._held:
            own = (result for result in results if not result.held)
            self._measured |= {f"{it.phase} {it.vantage} {it.target} {it.family}": it for it in own}

    def standing_for(self, phase: Phase) -> dict[str, Result]:
        """The results that are held in a phase, by cell; what had no verdict then is measured now."""
        if phase.phase in self._modelled:
            return dict(self._modelled[phase.phase])
        cells = self._held.get(phase.phase, {}).items()
        found = {cell: self._measured.get(f"{earlier} {cell.partition(' ')[2]}") for cell, earlier in cells}
        return {cell: result for cell, result in found.items() if result is not None and result.outcome.is_measured}

    def is_whole(self, phase: Phase, held: Mapping[str, Result]) -> bool:
        """Whether nothing of a phase is measured."""
        return bool(held) and len(held) == sum(1 for _ in cells_of(self._shutdown, phase))
