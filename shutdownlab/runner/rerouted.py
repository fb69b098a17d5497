"""Reports, as events, which routes to the country come and go abroad from phase to phase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from shutdownlab.country.country import Country
from shutdownlab.country.routes_abroad import routes_abroad
from shutdownlab.model.faults import Damage
from shutdownlab.results.events import Notice, Rerouted


@dataclass(slots=True)
class RoutesWatch:
    """The routes to one country. It reads the tables only if breakages or rerouting differ from the last phase's."""

    country: Country
    _damage: Damage | None = None
    _tables: dict[str, frozenset[str]] = field(default_factory=dict)

    def look(self, phase: str) -> Iterator[Rerouted | Notice]:
        """Yields what has changed since the last call; nothing on the first. Call it once routers have converged."""
        country = self.country
        if country.damage == self._damage:
            return
        try:
            tables = routes_abroad(country.plan.network, country.services, country.damage.routers)
        except OSError as error:
            yield Notice(where=phase, text=f"the routes abroad could not be looked at: {error}")
            return
        self._damage = country.damage
        now = {router: frozenset(table) for router, table in tables.items()}
        for router, table in now.items():
            before = self._tables.get(router, table)
            if before != table:
                lost, heard = tuple(sorted(before - table)), tuple(sorted(table - before))
                yield Rerouted(phase=phase, where=router, lost=lost, heard=heard)
        self._tables |= now
