"""The results of a run with `--sample` that stand for cells which are not measured again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Phase
from shutdownlab.results.cells import cells_of
from shutdownlab.results.result import Result
from shutdownlab.verifier.sampling import held_cells, share_of


class Sampled:
    """The results so far, by phase and cell.

    share: of phases with repeated cells, the share in which these are measured again, 0 to 1; None: all. modelled: by
    phase and cell, the model's results for cells that are never measured.
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
        """Remembers measured results."""
        if self._held:
            own = (result for result in results if not result.held)
            self._measured |= {f"{it.phase} {it.vantage} {it.target} {it.family}": it for it in own}

    def standing_for(self, phase: Phase) -> dict[str, Result]:
        """Returns the results that are held in a phase, by cell; a cell that had no verdict earlier is not held."""
        if phase.phase in self._modelled:
            return dict(self._modelled[phase.phase])
        cells = self._held.get(phase.phase, {}).items()
        found = {cell: self._measured.get(f"{earlier} {cell.partition(' ')[2]}") for cell, earlier in cells}
        return {cell: result for cell, result in found.items() if result is not None and result.outcome.is_measured}

    def is_whole(self, phase: Phase, held: Mapping[str, Result]) -> bool:
        """Whether all cells of a phase are held, so that nothing of it is measured."""
        return bool(held) and len(held) == sum(1 for _ in cells_of(self._shutdown, phase))
