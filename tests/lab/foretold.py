"""Runs of which every cell must come out as the model has it, down to the failure's name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import shutdownlab as sl
from shutdownlab.results.result import Result

Cell = tuple[str, str, str, str, str, str | None]


def run_as_foretold(made: dict[str, Any], place: Path) -> sl.Run:
    """Run a scenario in `place`; fails where a cell is otherwise than verified, or where the model leaves one open."""
    measured, model = sl.run(made, place / "run"), sl.verify(made)
    assert cells(measured.results) == cells(model)
    assert not model.undecided
    return measured


def cells(results: Iterable[Result]) -> list[Cell]:
    """Phase, vantage point, target, family, outcome and failure of each."""
    return [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure) for r in results]
