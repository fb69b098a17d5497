"""Compiles the policies in force into what an operator's border router counts per client. Pure.

A client's packets are counted by an element of an nftables set, which expires. Its limit passes the policy's number of
packets and then next to none: one a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shutdownlab.compiler.rejections import AtBorder, at_border, table
from shutdownlab.compiler.traffic import Traffic
from shutdownlab.config.addresses import Address
from shutdownlab.config.numbers import ICMP, ICMPV6
from shutdownlab.inspection.apps import App
from shutdownlab.model.counting import BlockAfter
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy

TABLE: Final = "counts"
"""Name of the nftables table."""
_NAMES: Final = {ICMP: ("icmp", "ip", 4), ICMPV6: ("icmpv6", "ip6", 6)}
_MOST_CLIENTS: Final = 65535


@dataclass(frozen=True, slots=True)
class Counted(AtBorder):
    """Traffic that is counted, and how much of it passes."""

    count: BlockAfter

    def catches(self, source: Address, packet: Traffic) -> bool:
        """Whether a packet of any kind is dropped if its client has exceeded the count."""
        return self.count.then == "client" and self.concerns(source, packet)


def counts(
    network: Network, apps: Mapping[str, App], active: Mapping[str, Policy], operator: str
) -> tuple[Counted, ...]:
    """Returns what an operator's border router counts, by policy in the order of their start, then by group."""
    return tuple(
        Counted(each.policy, each.subnets, each.controls, each.spared, each.targets, count)
        for name, policy in active.items()
        if (count := policy.block_after) is not None
        for each in at_border(network, apps, {name: policy}, operator)
    )


def ruleset(counted: Iterable[Counted]) -> str:
    """Returns input for `nft -f` that replaces a router's table of counts; counting starts again from zero."""
    orders, sets = [], []
    for number, each in enumerate(counted):
        orders.append((each, list(_rules(number, each))))
        sets += [line for version in (4, 6) for line in _sets(number, version, each.count)]
    return table(TABLE, orders, sets)


def _rules(number: int, counted: Counted) -> Iterator[str]:
    """Yields the rules of one order; those about caught clients come first, as their packets need no more counting."""
    families = [_NAMES[t.protocol] for t in counted.targets if t.protocol in _NAMES]
    whole = counted.count.then == "client"
    if whole:
        yield from (f"{ip} saddr @caught{number}v{version} drop" for _, ip, version in families)
    for icmp, ip, version in families:
        limit = f"limit rate over 1/day burst {counted.count.packets} packets"
        caught = f" add @caught{number}v{version} {{ {ip} saddr }}" if whole else ""
        yield f"{icmp} type echo-request add @sent{number}v{version} {{ {ip} saddr {limit} }}{caught} drop"


def _sets(number: int, version: int, count: BlockAfter) -> Iterator[str]:
    for name in ("sent", "caught") if count.then == "client" else ("sent",):
        flags = f"flags dynamic,timeout; timeout {round(1000 * count.within)}ms; size {_MOST_CLIENTS};"
        yield f"  set {name}{number}v{version} {{ type ipv{version}_addr; {flags} }}"
