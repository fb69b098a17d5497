"""The address blocks that are probed: a /24 and a sample of a /48 for each group of subscribers. Pure.

Trinocular learns from a census which addresses of a block ever answer, E(b), and what share of them answers at a time,
the availability A(E(b)); here both are drawn at random by the run's seed. The group's node answers for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.model import address_plan
from shutdownlab.model.network import Network
from shutdownlab.model.topology import VantageId

KNOWN: Final = 32
"""The number of addresses of a block that ever answer; Trinocular excludes blocks with fewer than 15 (Quan et al.)."""
AVAILABILITY: Final = (0.4, 0.95)
"""The range from which the availability is drawn uniformly (ASSUMED; Trinocular excludes blocks below 0.1)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a group of subscribers, in one address family.

    `prefix`: the prefix of the addresses that ever answer; `known`: these addresses, in probing order; `awake`: those
    that answer now; `control`: an address that no policy affects.
    """

    vantage: VantageId
    version: int
    subnet: IpPrefix
    prefix: IpPrefix
    known: tuple[Address, ...]
    awake: frozenset[Address]
    control: Address

    @property
    def availability(self) -> float:
        """The share of the known addresses that answer, 0 to 1."""
        return len(self.awake) / len(self.known)


def blocks(network: Network, seed: int) -> list[Block]:
    """Returns every block of a country, without roaming subscribers: their addresses belong to networks abroad."""
    found = []
    for vantage in (each for each in network.vantages if not each.home):
        controls = {address.version: address for address in network.control_addresses(vantage.id)}
        taken = network.hosted_on(network.subscriber(vantage.id).name)
        for subnet in network.subnets[vantage.id]:
            draw = Random(f"{seed} {subnet}")
            prefix = address_plan.probed(subnet)
            first = prefix.network_address
            known = [first + place for place in range(KNOWN) if first + place not in taken]
            draw.shuffle(known)
            awake = known[: max(1, round(len(known) * draw.uniform(*AVAILABILITY)))]
            draw.shuffle(known)
            there = tuple(known), frozenset(awake)
            found.append(Block(vantage.id, subnet.version, subnet, prefix, *there, controls[subnet.version]))
    return found
