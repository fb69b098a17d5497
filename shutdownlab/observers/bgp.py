"""Which operators' networks the world abroad has routes to: what a route collector would see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shutdownlab.model.network import Network, Role
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.servers import birdc
from shutdownlab.servers.start import Services


@dataclass(frozen=True, slots=True)
class RouteView:
    """The prefixes in each transit router's table, by transit and IP version."""

    tables: Mapping[tuple[str, int], frozenset[str]]
    originated: Mapping[str, tuple[str, ...]]

    def outcome(self, operator: str, family: Family) -> tuple[Outcome, str | None]:
        """`ok` where some transit has a route to each of the operator's prefixes of the family, else `blocked`."""
        version = 4 if family is Family.IPV4 else 6
        tables = [table for (_, of), table in self.tables.items() if of == version]
        own = [prefix for prefix in self.originated[operator] if (":" in prefix) == (version == 6)]
        visible = all(any(prefix in table for table in tables) for prefix in own)
        return (Outcome.OK, None) if visible else (Outcome.BLOCKED, "network_unreachable")


def seen_from_abroad(network: Network, services: Services) -> RouteView:
    """Ask every transit router's bird; raises `OSError` where one does not answer."""
    sockets = {node.name: services.find("bird", node.name).control for node in network.by_role(Role.TRANSIT)}
    tables = {
        (name, version): frozenset(birdc.kernel_routes(control, version))
        for name, control in sockets.items()
        if control is not None
        for version in (4, 6)
    }
    operators = network.topology.operators
    return RouteView(tables, {name: tuple(map(str, operator.prefixes)) for name, operator in operators.items()})
