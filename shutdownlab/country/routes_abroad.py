"""The routes to the country's operators in the tables of the transit routers abroad."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network

from shutdownlab.config.addresses import is_part
from shutdownlab.model.network import Network, Role
from shutdownlab.servers import birdc
from shutdownlab.servers.start import Services


def routes_abroad(
    network: Network, services: Services, down: Collection[str] = frozenset()
) -> dict[str, tuple[str, ...]]:
    """Returns the prefixes within the operators' to which each transit router has a route. Raises `OSError`.

    down: the routers that speak no BGP on purpose; they are left out.
    """
    own = [prefix for operator in network.topology.operators.values() for prefix in operator.prefixes]
    found = {}
    for node in network.by_role(Role.TRANSIT):
        if node.name in down:
            continue
        control = services.find("bird", node.name).control
        assert control is not None, "every bird has a control socket"
        table = [ip_network(each) for version in (4, 6) for each in birdc.kernel_routes(control, version)]
        within = (each for each in table if any(is_part(each, prefix) for prefix in own))
        found[node.name] = tuple(str(each) for each in within)
    return found
