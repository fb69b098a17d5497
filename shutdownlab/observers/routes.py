"""The routes to operators' prefixes in the tables of transit routers, and their origins."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.model.network import Network, Role
from shutdownlab.model.observation import UNREACHABLE, WRONG_ORIGIN, Observation
from shutdownlab.model.routing import asn, holder_of, holders, routers
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.observers.observe import Observed, World
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.servers import birdc


def seen_from_abroad(observation: Observation, world: World) -> Observed:
    """Queries every transit router's bird; raises `OSError` if one does not answer."""
    sockets = [world.services.find("bird", node.name).control for node in world.network.by_role(Role.TRANSIT)]
    controls = [control for control in sockets if control is not None]
    look = _origins if observation.by_origin else _routes
    found: dict[tuple[str, Family], Conclusion] = {}
    for family in observation.families:
        wrong = set(look(world.network, controls, family.version))
        blocked = Conclusion(Outcome.BLOCKED, WRONG_ORIGIN if observation.by_origin else UNREACHABLE)
        for name in world.network.topology.operators:
            found[name, family] = blocked if name in wrong else Conclusion(Outcome.OK)
    return found


def _routes(network: Network, controls: Iterable[Path], version: int) -> Iterator[str]:
    """Yields the operators with a prefix to which no transit has a route."""
    tables = [frozenset(birdc.kernel_routes(control, version)) for control in controls]
    for name, operator in network.topology.operators.items():
        own = [str(prefix) for prefix in operator.prefixes if prefix.version == version]
        if not all(any(prefix in table for table in tables) for prefix in own):
            yield name


def _origins(network: Network, controls: Iterable[Path], version: int) -> Iterator[str]:
    """Yields the holders of prefixes that another AS announces, and those who announce them."""
    owners = {asn(network, node): node.owner for node in routers(network) if node.role is not Role.ROUTE_SERVER}
    held: Mapping[IpPrefix, str] = holders(network)
    for control in controls:
        for text, route in birdc.best_routes(control, version).items():
            holder = holder_of(ipaddress.ip_network(text), held)
            if route.origin is not None and holder is not None and owners.get(route.origin) != holder:
                yield holder
                yield owners.get(route.origin, "")
