"""Controls: packets that prove the testbed, and that no policy may touch. Pure.

What a subscriber group's own control address sends or is sent passes every switch ahead of all rules of policies; at a
DPI switch it still goes through the box wherever the group is inspected, and the box lets it through unseen. The
operators' control subscribers belong to no group: of what they exchange, only what a group's own servers send or are
sent meets rules at all.
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
    """Send a group's controls on to `goto`, ahead of every policy's rules.

    `outbound`, `inbound`: numbers of the ports where what the group sends, and what it is sent, comes in.
    """
    for end, far, ports in (("src", "dst", tuple(outbound)), ("dst", "src", tuple(inbound))):
        for port in ports:
            for address in network.control_addresses(vantage.id):
                yield _rule(port, end, address, goto)
            for address in asked_by(network, vantage):
                yield _rule(port, far, address, PipelineTable.FORWARD)


def asked_by(network: Network, vantage: Vantage) -> Iterator[Address]:
    """The control subscribers' addresses, where the group has servers that they ask."""
    if network.hosted_on(network.subscriber(vantage.id).name):
        for node in network.by_role(Role.CONTROL):
            yield from (node.address(version) for version in (4, 6))


def _rule(port: int, end: str, address: Address, goto: PipelineTable) -> Rule:
    whole = "255.255.255.255" if address.version == 4 else "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
    field = f"ipv{address.version}_{end}"
    match: Match = (("in_port", port), ("eth_type", ETHER_TYPES[address.version]), (field, (str(address), whole)))
    return Rule(PipelineTable.CLASSIFY, PRIORITY, match, goto)
