"""Static forwarding rules, from the known network: the ports to which frames go unless a policy drops them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shutdownlab.compiler.rules import MatchValue, PipelineTable, Rule
from shutdownlab.model.network import Network, Node, Port, Role

_MULTICAST: tuple[str, MatchValue] = ("eth_dst", ("01:00:00:00:00:00", "01:00:00:00:00:00"))
"""Broadcast and multicast frames: the group bit of the destination is set (IEEE 802, section 8.2.2)."""


def access(network: Network, node: Node) -> Iterator[Rule]:
    """Yields an access switch's rules: subscribers reach only their router, and it reaches each of them."""
    uplink = node.port_for("uplink").number
    down = [port for port in node.ports.values() if port.number != uplink]
    for port in down:
        yield _forward((("in_port", port.number),), (uplink,))
        yield _forward((("in_port", uplink), ("eth_dst", _mac_behind(network, port))), (port.number,))
    yield _forward((("in_port", uplink), _MULTICAST), tuple(port.number for port in down))


def gateway(network: Network, node: Node) -> Iterator[Rule]:
    """Yields the rules of a peering LAN: every border and transit router reaches every other."""
    for port in node.ports.values():
        yield _forward((("eth_dst", _mac_behind(network, port)),), (port.number,))
    yield _forward((_MULTICAST,), tuple(port.number for port in node.ports.values()))


def dpi(network: Network, node: Node) -> Iterator[Rule]:
    """Yields a DPI switch's rules: between each border-router interface and its LAN, and onwards from the DPI box."""
    ports = {port.purpose: port.number for port in node.ports.values()}
    border = network.one(Role.BORDER, node.owner)
    for inner, outer, interface in (("border-intl", "gateway", "intl"), ("border-ix", "exchange", "ix")):
        if inner not in ports:
            continue
        mac = border.port_for(interface).mac
        yield _forward((("in_port", ports[inner]),), (ports[outer],))
        yield _forward((("in_port", ports[outer]),), (ports[inner],))
        yield _handed_over((("in_port", ports["box-outside"]), ("eth_src", mac)), (ports[outer],))
        yield _handed_over((("in_port", ports["box-inside"]), ("eth_dst", mac)), (ports[inner],))


def _forward(match: Iterable[tuple[str, MatchValue]], outputs: tuple[int, ...]) -> Rule:
    return Rule(PipelineTable.FORWARD, 100, tuple(match), outputs=outputs)


def _handed_over(match: Iterable[tuple[str, MatchValue]], outputs: tuple[int, ...]) -> Rule:
    """A rule for frames from the box: ahead of every other rule, or they would be steered into the box again."""
    return Rule(PipelineTable.CLASSIFY, 2000, tuple(match), outputs=outputs)


def _mac_behind(network: Network, port: Port) -> str:
    """Returns the MAC address that a port leads to; behind an operator's DPI switch, its border router's."""
    node = network.nodes[port.peer.node]
    if node.role is Role.DPI_SWITCH:
        return network.one(Role.BORDER, node.owner).port_for("intl").mac
    return node.ports[port.peer.port].mac
