"""Counts of results. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shutdownlab.results.result import Result


@dataclass(slots=True)
class Tally:
    """Counts of results. `errors`: those without a verdict. `held`: those that were not measured."""

    cells: int = 0
    reached: int = 0
    expectations: int = 0
    unmet: int = 0
    errors: int = 0
    held: int = 0

    def add(self, results: Iterable[Result]) -> Tally:
        """Adds results to the counts; returns itself."""
        for result in results:
            self.cells += 1
            self.reached += result.outcome.got_through
            self.expectations += result.expected is not None
            self.unmet += not result.met
            self.errors += not result.outcome.is_measured
            self.held += bool(result.held)
        return self
