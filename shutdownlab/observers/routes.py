"""The tables of transit routers, and which operators' prefixes are in them."""

from __future__ import annotations

from shutdownlab.model.network import Role
from shutdownlab.model.observation import Observation
from shutdownlab.model.scenario import Family, Outcome
from shutdownlab.observers.observe import Observed, World
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.servers import birdc


def seen_from_abroad(observation: Observation, world: World) -> Observed:
    """Ask every transit router's bird; raises `OSError` where one does not answer."""
    sockets = [world.services.find("bird", node.name).control for node in world.network.by_role(Role.TRANSIT)]
    found: dict[tuple[str, Family], Conclusion] = {}
    for family in observation.families:
        tables = [frozenset(birdc.kernel_routes(control, family.version)) for control in sockets if control is not None]
        for name, operator in world.network.topology.operators.items():
            own = [str(prefix) for prefix in operator.prefixes if prefix.version == family.version]
            visible = all(any(prefix in table for table in tables) for prefix in own)
            blocked = Conclusion(Outcome.BLOCKED, "network_unreachable")
            found[name, family] = Conclusion(Outcome.OK) if visible else blocked
    return found
