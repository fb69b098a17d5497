"""Compiles the policies in force into what an operator's border router rejects, and how it answers. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shutdownlab.compiler import controls, telephone
from shutdownlab.compiler.enforcement import resolvers_of, spared_by, traffic_of
from shutdownlab.compiler.traffic import Traffic
from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.numbers import PROTOCOL_NAMES, TCP, UDP
from shutdownlab.inspection.apps import App
from shutdownlab.model.answers import Rejection
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy

TABLE = "orders"
"""Name of the nftables table."""
_ANSWERS = {
    Rejection.ICMP: ("reject with icmpx type admin-prohibited",),
    Rejection.TCP_RESET: ("meta l4proto tcp reject with tcp reset", "reject with icmpx type admin-prohibited"),
}


@dataclass(frozen=True, slots=True)
class AtBorder:
    """The outgoing traffic of a subscriber group that its border router acts on, for one policy.

    subnets: the group's. controls: its control addresses, which no policy touches. spared: traffic that the policy
    exempts. targets: traffic that it is about.
    """

    policy: str
    subnets: tuple[IpPrefix, ...]
    controls: tuple[Address, ...]
    spared: tuple[Traffic, ...]
    targets: tuple[Traffic, ...]

    def meets(self, source: Address, packet: Traffic) -> bool:
        """Whether a packet is among the targets, from the group, and not exempt; `packet` has both its addresses."""
        return self.concerns(source, packet) and any(traffic.covers(packet) for traffic in self.targets)

    def concerns(self, source: Address, packet: Traffic) -> bool:
        """Whether a packet is from the group, not a control, and not exempt."""
        return (
            any(source in subnet for subnet in self.subnets)
            and source not in self.controls
            and not any(traffic.covers(packet) for traffic in self.spared)
        )


@dataclass(frozen=True, slots=True)
class Rejected(AtBorder):
    """Traffic that is rejected, and the answer to it."""

    answer: Rejection


def rejections(
    network: Network, apps: Mapping[str, App], active: Mapping[str, Policy], operator: str
) -> tuple[Rejected, ...]:
    """Returns an operator's rejections in the order in which policies were started: the first that matches answers."""
    rejecting = {name: policy for name, policy in active.items() if policy.rejects}
    return tuple(
        Rejected(each.policy, each.subnets, each.controls, each.spared, each.targets, active[each.policy].reject_with)
        for each in at_border(network, apps, rejecting, operator)
    )


def at_border(
    network: Network, apps: Mapping[str, App], policies: Mapping[str, Policy], operator: str
) -> Iterator[AtBorder]:
    """Yields the traffic that `policies` are about at an operator's border router, one for each policy and group."""
    for name, policy in policies.items():
        for vantage in network.vantages:
            if vantage.id.operator != operator or not policy.concerns(vantage):
                continue
            asked = (Traffic(remote=ipaddress.ip_network(a)) for a in controls.asked_by(network, vantage))
            spared = (
                *asked,
                *telephone.traffic(network, operator),
                *spared_by(network, apps, policy, vantage, resolvers_of(network, operator)),
            )
            targets = tuple(dict.fromkeys(traffic_of(network, apps, policy.targets)))
            own = network.control_addresses(vantage.id)
            yield AtBorder(name, network.subnets[vantage.id], own, tuple(dict.fromkeys(spared)), targets)


def ruleset(rejected: Iterable[Rejected]) -> str:
    """Returns input for `nft -f` that replaces a router's table of rejections."""
    return table(TABLE, ((each, list(_answers(each))) for each in rejected))


def _answers(rejected: Rejected) -> Iterator[str]:
    for traffic in rejected.targets:
        yield from (" ".join((*conditions(traffic), answer)) for answer in _ANSWERS[rejected.answer])


def table(name: str, orders: Iterable[tuple[AtBorder, list[str]]], sets: Iterable[str] = ()) -> str:
    """Returns an nftables script that replaces table `name`: one chain for each order, ending in the order's rules."""
    lines, chains = [], []
    for number, (each, rules) in enumerate(orders):
        lines += [f"    {_match(Traffic(local=s))} jump p{number}" for s in each.subnets]
        chains += [
            f"  chain p{number} {{",
            f"    # {each.policy}",
            *(f"    {_match(Traffic(local=ipaddress.ip_network(a)))} return" for a in each.controls),
            *(f"    {_match(t)} return" for t in each.spared),
            *(f"    {rule}" for rule in rules),
            "  }",
        ]
    head = [f"table inet {name}", f"delete table inet {name}"]
    if not lines:
        return "\n".join(head) + "\n"
    hook = "    type filter hook forward priority filter; policy accept;"
    whole = [f"table inet {name} {{", *sets, *chains, "  chain forward {", hook, *lines, "  }", "}"]
    return "\n".join([*head, *whole]) + "\n"


def _match(traffic: Traffic) -> str:
    return " ".join(conditions(traffic))


def conditions(traffic: Traffic) -> Iterator[str]:
    for prefix, end in ((traffic.local, "saddr"), (traffic.remote, "daddr")):
        if prefix is not None:
            yield f"{'ip' if prefix.version == 4 else 'ip6'} {end} {prefix}"
    if traffic.protocol is not None and traffic.ports is None:
        yield f"meta l4proto {traffic.protocol}"
    elif traffic.protocol in (TCP, UDP) and traffic.ports is not None:
        first, last = traffic.ports
        yield f"{PROTOCOL_NAMES[traffic.protocol]} dport {first}-{last}"
