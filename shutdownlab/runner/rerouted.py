"""Which routes to the country come and go abroad from phase to phase, as events; looked at where they may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from shutdownlab.country.assembly import Country
from shutdownlab.country.routes_abroad import routes_abroad
from shutdownlab.model.faults import Damage
from shutdownlab.results.events import Notice, Rerouted


@dataclass(slots=True)
class RoutesWatch:
    """Of one country. A phase in which nothing is broken or rerouted otherwise than before costs nothing."""

    country: Country
    _damage: Damage | None = None
    _tables: dict[str, frozenset[str]] = field(default_factory=dict)

    def look(self, phase: str) -> Iterator[Rerouted | Notice]:
        """What has changed since the last look; nothing at the first one. Once all routers have heard of it."""
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
