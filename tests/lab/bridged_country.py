"""A whole country over plain Linux bridges: real nodes, addresses and routes, but nothing that inspects or blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shutdownlab
from shutdownlab.config.document import parse
from shutdownlab.inspection.apps import load_apps
from shutdownlab.model.layout import lay_out
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.topology_checks import check_topology
from shutdownlab.network.net import EmulatedNetwork

REPOSITORY = Path(__file__).parents[2]
_ROUTERS = {Role.BORDER, Role.TRANSIT}
_SWITCHES = {Role.ACCESS_SWITCH, Role.DPI_SWITCH, Role.GATEWAY_SWITCH, Role.EXCHANGE_SWITCH}


def read_network(topology: str) -> Network:
    """Return the network of a shipped topology with the shipped app catalogue."""
    catalogue = Path(shutdownlab.__file__).with_name("inspection") / "apps.yaml"
    apps = load_apps(catalogue.read_bytes(), catalogue.name)
    path = REPOSITORY / "topologies" / f"{topology}.yaml"
    return lay_out(check_topology(parse(path.read_bytes(), path.name), apps), apps)


def build(network: Network) -> EmulatedNetwork:
    """Build and start it; to be called in a sandbox."""
    net = EmulatedNetwork(management=None)
    for node in network.nodes.values():
        if node.role in _SWITCHES:
            for bridge in sorted({_bridge(node, port) for port in node.ports}):
                net.addSwitch(bridge, bridge=True)
        else:
            _add_host(net, network, node)
    for link in network.links:
        a, b = (_bridge(network.nodes[end.node], end.port) for end in (link.a, link.b))
        net.addLink(a, b, intfName1=link.a.port, intfName2=link.b.port)
    net.build()
    net.start()
    return net


def _add_host(net: EmulatedNetwork, network: Network, node: Node) -> None:
    addresses = [(port.name, str(address)) for port in node.ports.values() for address in port.addresses]
    own = {address.ip for port in node.ports.values() for address in port.addresses}
    hosted = {a for h in network.hosted if h.node == node.name for a in h.addresses} - own
    # Not on `lo`: an interface answers neighbour discovery (RFC 4861) for its own addresses alone.
    addresses += [("eth0", f"{address}/{address.max_prefixlen}") for address in sorted(hosted, key=str)]
    routes = [(str(r.prefix), str(r.via) if r.via else None, r.port) for r in node.routes]
    # Routers learn their routes from bird, which is what is tested here.
    forwarding = node.role in _ROUTERS
    params: dict[str, Any] = {"addresses": addresses, "routes": [] if forwarding else routes, "forwarding": forwarding}
    if node.role is Role.SUBSCRIBER:
        params["resolv"] = f"nameserver {network.one(Role.RESOLVER, node.owner).address(4)}\n"
    net.addHost(node.name, **params)


def _bridge(node: Node, port: str) -> str:
    """A DPI switch keeps the gateway's and the exchange's side apart, so it is two bridges."""
    if node.role is not Role.DPI_SWITCH:
        return node.name
    side = "exchange" if node.ports[port].purpose in {"border-ix", "exchange"} else "gateway"
    return f"{node.name}-{side}"
