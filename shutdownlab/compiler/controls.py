"""Controls: packets that prove that the testbed works, and that no policy may touch. Pure.

Packets to and from a subscriber group's own control addresses pass every switch ahead of all policies' rules. At a DPI
switch they still go through the box if the group is inspected, and the box passes them uninspected. The operators'
control subscribers belong to no group, so only their traffic with a group's own servers meets any rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shutdownlab.compiler.rules import Match, PipelineTable, Rule
from shutdownlab.config.addresses import Address
from shutdownlab.config.numbers import ETHER_TYPES
from shutdownlab.model.network import Network, Role
from shutdownlab.model.topology import Vantage

PRIORITY = 900


def passing(
    network: Network,
    vantage: Vantage,
    outbound: Iterable[int],
    inbound: Iterable[int],
    goto: PipelineTable = PipelineTable.FORWARD,
) -> Iterator[Rule]:
    """Yields rules that send a group's control packets on to `goto`, ahead of every policy's rules.

    `outbound`, `inbound`: numbers of the ports on which packets from the group, and packets to it, arrive.
    """
    for end, far, ports in (("src", "dst", tuple(outbound)), ("dst", "src", tuple(inbound))):
        for port in ports:
            for address in network.control_addresses(vantage.id):
                yield _rule(port, end, address, goto)
            for address in asked_by(network, vantage):
                yield _rule(port, far, address, PipelineTable.FORWARD)


def asked_by(network: Network, vantage: Vantage) -> Iterator[Address]:
    """Yields the control subscribers' addresses if the group has servers, which they then ask; else nothing."""
    if network.hosted_on(network.subscriber(vantage.id).name):
        for node in network.by_role(Role.CONTROL):
            yield from node.addresses


def _rule(port: int, end: str, address: Address, goto: PipelineTable) -> Rule:
    whole = "255.255.255.255" if address.version == 4 else "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    field = f"ipv{address.version}_{end}"
    match: Match = (("in_port", port), ("eth_type", ETHER_TYPES[address.version]), (field, (str(address), whole)))
    return Rule(PipelineTable.CLASSIFY, PRIORITY, match, goto)
