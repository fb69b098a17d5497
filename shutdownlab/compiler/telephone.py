"""Voice and SMS: the operators' telephone service, which works in an Internet blackout until it is switched off too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from shutdownlab.compiler.rules import Match, PipelineTable, Rule
from shutdownlab.compiler.traffic import Traffic, of_ports
from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.addresses import network as prefix
from shutdownlab.config.scalars import Ports
from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Direction, Policy
from shutdownlab.model.telephony import MEDIA, SMS, VOICE
from shutdownlab.model.topology import Vantage

PRIORITY = 600


def rules(
    network: Network, vantage: Vantage, metadata: Callable[..., int], policies: Mapping[str, Policy]
) -> Iterator[Rule]:
    """Yields rules that pass or drop a group's calls and messages, ahead of every blackout and its exemptions."""
    for ports, remotes, kind in _services(network, vantage.id.operator):
        for inbound in (False, True):
            name = _switched_off(policies, kind, inbound=inbound)
            for match in _matches(ports, remotes, inbound=inbound):
                whole = (("metadata", metadata(inbound=inbound)), *match)
                yield Rule(
                    PipelineTable.EXEMPT,
                    PRIORITY,
                    whole,
                    goto=None if name else PipelineTable.FORWARD,
                    policy=name or "",
                )


def traffic(network: Network, operator: str) -> Iterator[Traffic]:
    """Yields an operator's telephone traffic: between its service and subscribers, and media between subscribers."""
    for ports, remotes, _ in _services(network, operator):
        for remote in remotes:
            yield from (Traffic(each.protocol, each.ports, remote=remote) for each in of_ports(ports))


def _services(network: Network, operator: str) -> tuple[tuple[Ports, tuple[IpPrefix, ...], str], ...]:
    """Returns (ports, the prefixes they are used at, "voice" or "sms") of each part of the service."""
    service = network.one(Role.TELEPHONE, operator)
    hosts = tuple(map(prefix, service.addresses))
    own = network.topology.operators[operator].prefixes
    return (VOICE, hosts, "voice"), (MEDIA, own, "voice"), (SMS, hosts, "sms")


@lru_cache(maxsize=1 << 12)
def _matches(ports: Ports, remotes: tuple[IpPrefix, ...], *, inbound: bool) -> tuple[Match, ...]:
    """Returns the matches of a part of the service; cached, as they are the same for all groups of an operator."""
    whole = [Traffic(each.protocol, each.ports, remote=remote) for remote in remotes for each in of_ports(ports)]
    return tuple(match for traffic in whole for match in traffic.matches(inbound=inbound))


def _switched_off(policies: Mapping[str, Policy], kind: str, *, inbound: bool) -> str | None:
    for name, policy in policies.items():
        one_way = policy.direction is not Direction.BOTH and (policy.direction is Direction.INBOUND) != inbound
        if policy.block is not None and getattr(policy.block, kind) and not one_way:
            return name
    return None
