"""Compiles the policies in force into the program of every switch. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping

from shutdownlab.compiler import boxes, enforcement, forwarding
from shutdownlab.compiler.rules import Match, PipelineTable, Rule, SwitchProgram
from shutdownlab.config.numbers import ETHER_ARP, ETHER_IPV6, ICMPV6
from shutdownlab.inspection.apps import App
from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Point, Policy

ALWAYS_PRIORITY = 1000
NEIGHBOUR_DISCOVERY = (133, 134, 135, 136)
"""ICMPv6 types of router and neighbour solicitations and advertisements (RFC 4861, section 4)."""
FRAMES_THAT_ALWAYS_PASS: tuple[Match, ...] = (
    (("eth_type", ETHER_ARP),),
    *((("eth_type", ETHER_IPV6), ("ip_proto", ICMPV6), ("icmpv6_type", kind)) for kind in NEIGHBOUR_DISCOVERY),
)


def compile_switch(
    network: Network, apps: Mapping[str, App], active: Mapping[str, Policy], name: str, *, on_path: bool = False,
    worked_out: Callable[[int], None] = lambda _: None,
) -> SwitchProgram:  # fmt: skip
    """Returns the whole program of one switch while the `active` policies are in force.

    on_path: the DPI box beside it receives copies. worked_out: called for each subscriber group and direction with the
    length of its access list, to show progress: there may be hundreds of thousands of entries. Raises `KeyError` if the
    network has no OpenFlow switch of this name.
    """
    node = network.nodes[name]
    match node.role:
        case Role.ACCESS_SWITCH:
            program = enforcement.program(network, apps, active, node, Point.ACCESS, worked_out)
            return _complete(program, forwarding.access(network, node))
        case Role.GATEWAY_SWITCH:
            program = enforcement.program(network, apps, active, node, Point.GATEWAY, worked_out)
            return _complete(program, forwarding.gateway(network, node))
        case Role.DPI_SWITCH:
            steering = SwitchProgram((), tuple(boxes.steering(network, active, node, on_path=on_path)))
            return _complete(steering, forwarding.dpi(network, node))
        case _:
            raise KeyError(f"{name} is not an OpenFlow switch")


def compile_operator(
    network: Network, apps: Mapping[str, App], active: Mapping[str, Policy], owner: str, *, on_path: bool = False,
    worked_out: Callable[[int], None] = lambda _: None,
) -> dict[str, SwitchProgram]:  # fmt: skip
    """Returns the programs of all switches of an operator (or of the `gateway`), by name; see `compile_switch`."""
    return {
        node.name: compile_switch(network, apps, active, node.name, on_path=on_path, worked_out=worked_out)
        for node in network.nodes.values()
        if node.owner == owner and node.role.is_openflow
    }


def _complete(program: SwitchProgram, forward: Iterable[Rule]) -> SwitchProgram:
    """Adds the rules of every switch: frames that always pass, and each table's miss entry, which goes to the next."""
    fixed = [
        Rule(PipelineTable.CLASSIFY, ALWAYS_PRIORITY, match, goto=PipelineTable.FORWARD)
        for match in FRAMES_THAT_ALWAYS_PASS
    ]
    fixed += [Rule(a, 0, goto=b) for a, b in itertools.pairwise(PipelineTable)]
    return SwitchProgram(program.meters, (*fixed, *program.rules, *forward))
