"""The measurements of a steered country by moment: certain results, and failures that are being confirmed.

A failed first try is shown as such, and does not change a certain result.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shutdownlab.country.lab_node import LabMeasurement
from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Outcome
from shutdownlab.protocol.probing import Measurement
from shutdownlab.results.cells import Cell, expected_of, result_of
from shutdownlab.results.result import Result
from shutdownlab.web.foresight import Foreseen, Key, key_of
from shutdownlab.web.history import Moment, added

_TRYING: Final = "failing in its first try ({}): no verdict yet, it is being confirmed"


@dataclass(frozen=True, slots=True)
class News:
    """What one measurement, or one failed try, changed.

    shown: the page must be redrawn. sign: the cell's outcome differs from its last one. settled: it was the last of the
    cells that were expected to change.
    """

    shown: bool = False
    sign: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """A snapshot of a ledger.

    results: by moment. whole: the moments of which every cell was measured. trying: the cells of the newest moment that
    have failed once and are being confirmed.
    """

    moments: tuple[Moment, ...]
    results: Mapping[str, list[Result]]
    whole: frozenset[str]
    trying: frozenset[Key]


class Ledger:
    """Thread-safe storage of results. most: how many moments are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._moments: tuple[Moment, ...] = ()
        self._results: dict[str, dict[Key, Result]] = {}
        self._records: dict[str, dict[Key, Mapping[str, Any]]] = {}
        self._whole: set[str] = set()
        self._latest: dict[Key, Outcome] = {}
        self._trying: set[Key] = set()
        self._changing: set[Key] = set()

    @property
    def moments(self) -> tuple[Moment, ...]:
        return self._moments

    @property
    def newest(self) -> Moment:
        return self._moments[-1]

    def latest(self) -> Mapping[Key, Outcome]:
        """Returns each cell's last outcome, in any moment."""
        with self._lock:
            return dict(self._latest)

    def with_one_more(self, new: Moment) -> tuple[Moment, ...]:
        """Returns the moments as they would be after `begin`."""
        return added(self._moments, new, self._most)

    def begin(self, new: Moment) -> frozenset[str]:
        """Begins a moment, to which measurements belong from now on. Returns the names of the moments that are kept.

        Cells that failed once in the previous moment and were not confirmed by now count as not measured in it.
        """
        with self._lock:
            for key in self._trying:
                last = self._moments[-1].name
                if key not in self._records.get(last, {}):
                    del self._results[last][key]
            self._moments = added(self._moments, new, self._most)
            self._trying, self._changing = set(), set()
            kept = frozenset(moment.name for moment in self._moments)
            self._results = {name: found for name, found in self._results.items() if name in kept}
            self._records = {name: found for name, found in self._records.items() if name in kept}
            self._whole &= kept
            return kept

    def is_whole(self, moment: Moment) -> bool:
        """Whether every cell of a moment has been measured."""
        return moment.name in self._whole

    def complete(self, moment: Moment) -> None:
        """Marks a moment as one of which every cell has been measured."""
        with self._lock:
            self._whole.add(moment.name)

    def expect(self, foreseen: Foreseen, cells: list[Cell]) -> None:
        """Announces the cells of the newest moment that will be measured, and the model's prediction for them."""
        with self._lock:
            self._changing = {key_of(cell) for cell in cells if foreseen.changes(cell, self._latest)}

    def take(self, shutdown: Shutdown, moment: Moment, cell: Cell, found: LabMeasurement) -> News:
        """Records a certain measurement."""
        certainty: Any = found.certainty
        measured = Measurement(found.outcome, found.failure, certainty=certainty, value=found.value, unit=found.unit)
        key, result = key_of(cell), _result(shutdown, moment, cell, measured)
        with self._lock:
            known = self._results.setdefault(moment.name, {})
            before, known[key] = known.get(key), result
            self._records.setdefault(moment.name, {})[key] = found.record
            new = before is None or (before.outcome, before.failure) != (result.outcome, result.failure)
            shown = new or key in self._trying
            sign = self._latest.get(key) is not result.outcome
            settled = self._changing == {key}
            self._trying.discard(key)
            self._changing.discard(key)
            self._latest[key] = result.outcome
        return News(shown, sign, settled)

    def take_try(self, shutdown: Shutdown, moment: Moment, cell: Cell, outcome: Outcome, failure: str | None) -> News:
        """Records a failed first try; it changes nothing if the cell already has this outcome."""
        key, failing = key_of(cell), _TRYING.format(failure or outcome.value)
        with self._lock:
            known = self._results.setdefault(moment.name, {})
            if self._moments[-1] is not moment or (key in known and known[key].outcome is outcome):
                return News()
            if key not in known:
                unsure = Measurement(Outcome.UNKNOWN, failing, certainty="unconfirmed")
                known[key] = _result(shutdown, moment, cell, unsure)
            self._trying.add(key)
            return News(shown=True, sign=self._latest.get(key) is not outcome)

    def contents(self) -> Contents:
        """Returns a snapshot."""
        with self._lock:
            results = {name: list(found.values()) for name, found in self._results.items()}
            return Contents(self._moments, results, frozenset(self._whole), frozenset(self._trying))

    def result(self, moment: str, key: Key) -> Result | None:
        """Returns a cell's result; None if there is none."""
        return self._results.get(moment, {}).get(key)

    def record(self, moment: str, key: Key) -> Mapping[str, Any] | None:
        """Returns a cell's measurement in OONI's format; None if there is none."""
        return self._records.get(moment, {}).get(key)


def _result(shutdown: Shutdown, moment: Moment, cell: Cell, measured: Measurement) -> Result:
    phase = shutdown.scenario.phase(moment.name)
    return result_of(shutdown, phase, cell, measured, expected_of(shutdown, {}, phase, cell))
