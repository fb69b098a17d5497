"""Outside observers' signals about a steered country, by moment, as readings that the report draws.

BGP is read from the transits' own tables, and a CDN's volume is what probes fetched from sites abroad. Active probing
from abroad and telescopes are not emulated here: their signals come from the model, and are marked so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from shutdownlab.library import Shutdown
from shutdownlab.model.topology import VantageId
from shutdownlab.observers.requests import served
from shutdownlab.observers.visibility import visibility
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.signals.catalogue import SIGNALS
from shutdownlab.verifier.outside import Outside, blocks_of
from shutdownlab.verifier.volume import Sites


class SeenAbroad:
    """The signals of one country. Thread-safe."""

    def __init__(self, base: Shutdown) -> None:
        self._base = base
        self._blocks = blocks_of(base.network)
        self._sites = Sites(base.network, base.scenario.policies.values()).hosts
        self._routes: dict[str, tuple[Mapping[str, frozenset[str]], tuple[Reading, ...]]] = {}
        """By moment: the latest routing tables, and the readings from them."""
        self._others: dict[str, tuple[Mapping[VantageId, float], tuple[Reading, ...]]] = {}
        """By moment: what each line fetched from sites abroad, and the readings of all signals but BGP."""
        self._lock = threading.Lock()

    def look(self, moment: str, tables: Mapping[str, frozenset[str]]) -> bool:
        """Records the routes that routers abroad have at a moment; returns whether they are new.

        tables: as from `Lab.routes`.
        """
        if moment in self._routes and self._routes[moment][0] == tables:
            return False
        network = self._base.network
        tellers = Counter(prefix for table in tables.values() for prefix in table)
        seen = {prefix for prefix, count in tellers.items() if 2 * count > len(network.topology.transits)}
        visible = {version: {p for p in seen if (":" in p) == (version == 6)} for version in (4, 6)}
        readings = tuple(visibility(network, self._blocks, moment, visible))
        with self._lock:
            self._routes[moment] = tables, readings
        return True

    def measured(self, shutdown: Shutdown, moment: str, results: Iterable[Result]) -> bool:
        """Records the results of a moment of which all cells are measured; returns whether its signals are new.

        shutdown: the scenario of which the moment is a phase.
        """
        got = served(results, shutdown.scenario.probes, shutdown.network, self._sites)
        if moment in self._others and self._others[moment][0] == got:
            return False
        model, phase = Outside(shutdown, {}), shutdown.scenario.phase(moment)
        volume = model.volumes(phase, got)
        known = {"bgp", *(reading.signal for reading in volume)}
        rest = model.of(phase, [signal for signal in SIGNALS if signal not in known])
        with self._lock:
            self._others[moment] = got, (*volume, *rest)
        return True

    def readings(self, moments: Collection[str]) -> list[Reading]:
        """Returns the readings of these moments, in their order, and forgets all others."""
        with self._lock:
            self._routes = {name: found for name, found in self._routes.items() if name in moments}
            self._others = {name: found for name, found in self._others.items() if name in moments}
            found = [[store[name][1] for store in (self._routes, self._others) if name in store] for name in moments]
        return [reading for of_moment in found for readings in of_moment for reading in readings]
