"""Starts what inspects, delays and records packets in a country: DPI boxes, delay lines, the recorder."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from shutdownlab.box.dpi_box import BoxSpec
from shutdownlab.config.addresses import Address
from shutdownlab.control.addresses import ControllerAddresses
from shutdownlab.country.plan import KEY_LOG, Plan
from shutdownlab.model.network import Network, Role
from shutdownlab.network.delay_line import DelayedLink, start_relay
from shutdownlab.network.net import EmulatedNetwork
from shutdownlab.network.node import LabHost
from shutdownlab.network.recorder import Tap, start_recorder
from shutdownlab.system.child_process import Forked


def begin_recorder(plan: Plan, net: EmulatedNetwork) -> Forked:
    """Starts the process that writes the captures of every switch."""
    assert plan.pcap is not None
    taps = [
        Tap(
            node.name,
            net.instances[node.owner].namespace.path,
            tuple((p.name, p.purpose) for p in node.ports.values()),
            KEY_LOG.format(node.owner if node.owner in plan.network.topology.operators else "*") if plan.keys else "",
            tuple(map(str, _controls(plan.network, node.owner))) if node.role is Role.DPI_SWITCH else (),
        )
        for node in plan.network.nodes.values()
        if node.role.is_openflow
    ]
    return start_recorder(taps, plan.pcap, f"in {plan.network.topology.title}", f"shutdownlab {version('shutdownlab')}")


def begin_relay(net: EmulatedNetwork, seed: int) -> Forked | None:
    """Starts the process that delays packets where the kernel cannot; None if no line needs it."""
    lines = [
        DelayedLink(line.if_a, line.namespace.path, line.if_a, line.if_b, line.delay_ms, loss=line.loss, hops=line.hops)
        for line in net.delay_lines
    ]
    return start_relay(lines, seed) if lines else None


def box_spec(
    plan: Plan, net: EmulatedNetwork, where: ControllerAddresses, trusted: Path, root: Path, operator: str
) -> BoxSpec:
    """Returns the settings of an operator's DPI box, after connecting its node to the management network."""
    node: LabHost = net.get(plan.network.one(Role.DPI_BOX, operator).name)
    assert net.management is not None
    net.management.join(node.namespace)
    return BoxSpec(
        name=node.name,
        netns=node.namespace.path,
        inside="inside",
        outside="outside",
        profile=plan.profiles[operator].name,
        controllers=where.of_box(operator),
        seed=plan.seed,
        trusted=trusted,
        root=root,
        controls=frozenset(address.packed for address in _controls(plan.network, operator)),
    )


def _controls(network: Network, operator: str) -> Iterator[Address]:
    """Yields the addresses of an operator's subscribers whose packets its box passes uninspected."""
    for _, vantage in network.vantages_of(operator):
        yield from network.control_addresses(vantage.id)
