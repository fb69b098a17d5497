"""The page's view of a steered country: the report's parts, drawn from the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shutdownlab.library import Shutdown
from shutdownlab.model.scenario import Mode
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.evidence import extract_of
from shutdownlab.reporting.page.orders import breakdowns_of, orders_of
from shutdownlab.reporting.page.whys import Whys, joined, whys_of
from shutdownlab.verifier.verdicts import Verifier
from shutdownlab.web.history import as_shutdown
from shutdownlab.web.ledger import Contents, Ledger
from shutdownlab.web.parts import VIEW, view_of
from shutdownlab.web.seen_abroad import SeenAbroad
from shutdownlab.web.source import as_shown, explanation_of


class SteeredView:
    """The view of one country. Thread-safe."""

    def __init__(
        self,
        base: Shutdown,
        choices: Mapping[str, str],
        ledger: Ledger,
        verifier: Callable[[str], Verifier | None] = lambda _: None,
        mode: Mode = Mode.OPERATORS,
        seen: SeenAbroad | None = None,
    ) -> None:
        """Keeps what the view is drawn from.

        verifier: returns the verifier that has already computed a moment, by its name, or None. seen: outside
        observers' signals.
        """
        self._base, self._choices, self._ledger, self._verifier, self._mode = base, choices, ledger, verifier, mode
        self._seen = seen
        self._whys: dict[str, tuple[frozenset[object], Whys]] = {}
        """By moment: the cells that did not get through, and their explanations."""
        self._model = threading.Lock()
        """Held while a verifier is used."""

    def view(self) -> dict[str, Any]:
        """Returns the parts of the page."""
        known = self._ledger.contents()
        shutdown = as_shutdown(self._base, self._choices, known.moments, datetime.now(UTC))
        scenario = shutdown.scenario
        manifest = {
            "scenario": scenario.name, "title": scenario.title, "topology": scenario.topology,
            "operators": {name: each.title for name, each in shutdown.topology.operators.items()},
            "columns": scenario.headings, "sources": scenario.sources, "profiles": scenario.profiles,
            "profile": scenario.profile, "mode": self._mode.value,
        }  # fmt: skip
        places = {str(vantage.id): place for place, vantage in enumerate(shutdown.network.vantages)}
        probes = {name: place for place, name in enumerate(scenario.probes)}
        every = [
            result
            for moment in known.moments
            for result in sorted(
                known.results.get(moment.name, ()), key=lambda r: (places[r.vantage], probes[r.target], r.family)
            )
        ]  # in the order of a run's record, not that of measurement
        whole = [result for result in every if result.phase in known.whole]
        shown_moments = [moment.name for moment in known.moments if known.results.get(moment.name)]
        readings = self._seen.readings(shown_moments) if self._seen is not None else []
        account = RunAccount(scenario.name, "steered", manifest, every, (), shutdown, readings=readings)
        of_whole = RunAccount(scenario.name, "steered", manifest, whole, (), shutdown, readings=readings)
        orders = (*orders_of(account, {}), *breakdowns_of(account, {}))
        shown = view_of(account, of_whole, orders, self._explained(shutdown, known), known.trying)
        return shown | {f"{VIEW}cite": ""}  # there is no record to cite

    def _explained(self, shutdown: Shutdown, known: Contents) -> Whys:
        """Returns the model's explanations of each complete moment; recomputed if other cells did not get through."""
        self._whys = {name: found for name, found in self._whys.items() if name in known.results}
        for name in known.whole:
            found = known.results[name]
            lost = frozenset((r.vantage, r.target, r.family) for r in found if r.outcome.value != "ok")
            if lost and self._whys.get(name, (frozenset(), None))[0] != lost:
                with self._model:
                    self._whys[name] = lost, whys_of(shutdown, {}, found, self._verifier(name))
        return joined([whys for _, whys in self._whys.values()])

    def cell(self, moment: str, vantage: str, target: str, family: str) -> dict[str, Any]:
        """Returns the details that a cell opens: `extract` and `why`, if there are any."""
        at = vantage, target, family
        record, result = self._ledger.record(moment, at), self._ledger.result(moment, at)
        extract = extract_of(0, record) if record is not None else None
        _, whys = self._whys.get(moment, (None, Whys()))
        key = moment, *at
        if key not in whys.of:
            shutdown = as_shutdown(self._base, self._choices, self._ledger.moments, datetime.now(UTC))
            with self._model:
                if result is None:  # not a measured cell, but a connection that a box has decided
                    return as_shown(None, explanation_of(shutdown, {}, moment, *at))
                whys = whys_of(shutdown, {}, [result], self._verifier(moment))  # the moment is not complete yet
        return as_shown(extract[1] if extract else None, whys.explanations[whys.of[key]] if key in whys.of else None)
