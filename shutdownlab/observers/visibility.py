"""BGP visibility: the share of operators' prefixes to which more than half of the peers have a route. Pure.

IODA counts a /24 as visible if more than half of the full-feed peers have a route to it (help page of IODA); for IPv6,
/48s are counted likewise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, TypeAlias

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.model.network import Network
from shutdownlab.model.scenario import Family
from shutdownlab.model.topology import VantageId
from shutdownlab.results.reading import Reading, Scope

Parts: TypeAlias = list[tuple[float, bool]]
"""The size of each part, and whether it is visible."""
_COUNTED: Final = {4: 24, 6: 48}
"""The length of the prefixes that are counted."""


def visibility(
    network: Network, blocks: Mapping[VantageId, float], phase: str, visible: Mapping[int, Collection[str]]
) -> Iterator[Reading]:
    """Yields readings for the country, each operator and each region, by family; regions are weighted by their groups.

    blocks: the number of /24s that each group of subscribers stands for. visible: the visible prefixes, by IP version.
    """
    topology = network.topology
    for family in Family:
        seen = visible[family.version]
        parts = {
            name: [(_size(p), str(p) in seen) for p in operator.prefixes if p.version == family.version]
            for name, operator in topology.operators.items()
        }
        places: list[tuple[Scope, str, Parts]] = [("country", "", [part for own in parts.values() for part in own])]
        places += [("operator", name, own) for name, own in parts.items()]
        places += [("region", name, list(_of_region(network, blocks, name, family, seen))) for name in topology.regions]
        for scope, of, own in places:
            if own:
                share = sum(size * is_seen for size, is_seen in own) / sum(size for size, _ in own)
                yield Reading("bgp", phase, scope, of, family.value, round(share, 9), "share", "measured")


def _of_region(
    network: Network, blocks: Mapping[VantageId, float], region: str, family: Family, seen: Collection[str]
) -> Iterator[tuple[float, bool]]:
    """Yields the size of each group of subscribers in a region, and whether a prefix that covers it is visible."""
    for vantage in (each for each in network.vantages if each.id.region == region and not each.home):
        for subnet in (each for each in network.subnets[vantage.id] if each.version == family.version):
            lengths = range(subnet.prefixlen + 1)
            is_seen = any(str(subnet.supernet(new_prefix=length)) in seen for length in lengths)
            yield blocks[vantage.id], is_seen


def _size(prefix: IpPrefix) -> float:
    """Returns the number of /24s (IPv6: /48s) in a prefix, at least one."""
    return float(2 ** max(0, _COUNTED[prefix.version] - prefix.prefixlen))
