"""Compiles what access switches and the gateway enforce, by subscriber group and direction. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from shutdownlab.compiler import controls, ipv6_only, telephone
from shutdownlab.compiler.metadata import ALL_BITS, of_group
from shutdownlab.compiler.rules import Match, Meter, PipelineTable, Rule, SwitchProgram
from shutdownlab.compiler.traffic import (
    EVERYTHING,
    PASS,
    AclVerdict,
    Classifier,
    Traffic,
    address_and_mask,
    both,
    classifier,
    in_all,
    narrower,
    of_ports,
    of_protocol,
)
from shutdownlab.config.addresses import Address, IpPrefix
from shutdownlab.config.domains import is_within
from shutdownlab.config.numbers import ETHER_TYPES, TCP, UDP
from shutdownlab.inspection.apps import App
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.policy import Direction, Exceptions, Means, Point, Policy, Targets
from shutdownlab.model.scope import Scope
from shutdownlab.model.targets import Allowance
from shutdownlab.model.topology import Vantage

METER_BURST_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Group:
    """A subscriber group as a switch recognises it: by its subnets, and the ports on which its packets arrive."""

    index: int
    vantage: Vantage
    subnets: tuple[IpPrefix, ...]
    outbound_port: int
    inbound_ports: tuple[int, ...]
    resolvers: tuple[Traffic, ...]

    def metadata(self, *, inbound: bool) -> int:
        """Returns the metadata that CLASSIFY writes for the group's packets."""
        return of_group(self.index, inbound=inbound)


def program(
    network: Network, apps: Mapping[str, App], active: Mapping[str, Policy], node: Node, point: Point,
    worked_out: Callable[[int], None] = lambda _: None,
) -> SwitchProgram:  # fmt: skip
    """Returns a switch's meters and rules that enforce the policies at `point`; `worked_out`: see `compile_switch`."""
    rules: list[Rule] = []
    meters: dict[tuple[int, str], Meter] = {}
    for group in _groups_at(network, node):
        here = {
            name: policy
            for name, policy in active.items()
            if policy.at is point and policy.by is not Means.DNS and policy.concerns(group.vantage)
        }
        own: list[Rule] = []
        if point is Point.ACCESS:
            own += telephone.rules(network, group.vantage, group.metadata, here)
        if not here and point is Point.GATEWAY:
            continue
        own += _classify(group)
        own += controls.passing(network, group.vantage, [group.outbound_port], group.inbound_ports)
        for inbound in (False, True):
            own += _blackout(network, apps, here, group, inbound=inbound)
            lists = _access_lists(network, apps, here, group, inbound=inbound)
            own += _as_rules(lists, group, meters, inbound=inbound)
            worked_out(len(lists))
        if point is Point.ACCESS and (standing := group.vantage.nat64) is not None:
            own += [rule for each in own if (rule := ipv6_only.translated(each, standing)) is not None]
        rules += own
    return SwitchProgram(tuple(meters.values()), tuple(dict.fromkeys(rules)))  # groups share rules for controls


def _groups_at(network: Network, node: Node) -> Iterator[Group]:
    ports = {port.purpose: port.number for port in node.ports.values()}
    gateway = node.role is Role.GATEWAY_SWITCH
    for index, vantage in enumerate(network.vantages) if gateway else network.vantages_of(node.owner):
        own = ports.get(str(vantage.id) if node.role is Role.ACCESS_SWITCH else vantage.id.operator)
        if own is None:
            continue
        others = tuple(number for purpose, number in ports.items() if purpose == "uplink")
        if gateway:
            others = tuple(ports[name] for name in network.topology.transits if name in ports)
        resolvers = resolvers_of(network, vantage.id.operator)
        yield Group(index, vantage, network.subnets[vantage.id], own, others, resolvers)


def _classify(group: Group) -> Iterator[Rule]:
    """Yields rules that write group and direction to the metadata, by port and subnet."""
    for subnet in group.subnets:
        kind = ETHER_TYPES[subnet.version]
        masked = address_and_mask(subnet)
        out = (("in_port", group.outbound_port), ("eth_type", kind), (f"ipv{subnet.version}_src", masked))
        yield Rule(
            PipelineTable.CLASSIFY,
            100,
            out,
            goto=PipelineTable.EXEMPT,
            metadata=(group.metadata(inbound=False), ALL_BITS),
        )
        for port in group.inbound_ports:
            to = (("in_port", port), ("eth_type", kind), (f"ipv{subnet.version}_dst", masked))
            yield Rule(
                PipelineTable.CLASSIFY,
                100,
                to,
                goto=PipelineTable.EXEMPT,
                metadata=(group.metadata(inbound=True), ALL_BITS),
            )


def _applies(policy: Policy, *, inbound: bool) -> bool:
    """Whether a switch enforces a policy in this direction; never if border routers do (see `rejections`)."""
    if policy.at_border:
        return False
    return policy.direction is Direction.BOTH or (policy.direction is Direction.INBOUND) == inbound


def _blackout(
    network: Network, apps: Mapping[str, App], policies: Mapping[str, Policy], group: Group, *, inbound: bool
) -> Iterator[Rule]:
    """Yields rules that drop a group's traffic except what all its blackouts exempt; the first blackout is named."""
    cutting = {
        name: policy for name, policy in policies.items() if policy.cuts_off and _applies(policy, inbound=inbound)
    }
    if not cutting:
        return
    metadata = (("metadata", group.metadata(inbound=inbound)),)
    name = next(iter(cutting))
    spared = in_all(spared_by(network, apps, policy, group.vantage, group.resolvers) for policy in cutting.values())
    for match in _matches(spared, inbound=inbound):
        yield Rule(PipelineTable.EXEMPT, 300, metadata + match, goto=PipelineTable.ACCESS_LISTS, policy=name)
    yield Rule(PipelineTable.BLACKOUT, 100, metadata, policy=name)


def _access_lists(
    network: Network, apps: Mapping[str, App], policies: Mapping[str, Policy], group: Group, *, inbound: bool
) -> Classifier:
    combined: Classifier = ((EVERYTHING, PASS),)
    for name, policy in policies.items():
        if not _applies(policy, inbound=inbound) or policy.cuts_off:
            continue
        targets = tuple(traffic_of(network, apps, policy.switched))
        if not targets:
            continue
        kbit = policy.rate(inbound=inbound)
        if policy.slows and kbit is None:
            continue
        verdict = AclVerdict(drop=not policy.slows, kbit=kbit, policy=name)
        exceptions = spared_by(network, apps, policy, group.vantage, group.resolvers)
        combined = both(combined, classifier(targets, exceptions, verdict))
    return combined


def _as_rules(
    lists: Classifier, group: Group, meters: dict[tuple[int, str], Meter], *, inbound: bool
) -> Iterator[Rule]:
    """Yields an access list's rules and adds its meters. Consecutive entries with the same verdict share a priority."""
    entries = [entry for entry in lists if entry != (EVERYTHING, PASS)]
    metadata = (("metadata", group.metadata(inbound=inbound)),)
    runs = [(verdict, [traffic for traffic, _ in run]) for verdict, run in groupby(entries, key=lambda entry: entry[1])]
    for priority, (verdict, traffics) in zip(range(100 + len(runs), 100, -1), runs, strict=True):
        meter = None
        if verdict.kbit is not None:
            key = (group.metadata(inbound=inbound), verdict.policy)
            burst = max(16, round(verdict.kbit * METER_BURST_SECONDS))
            meter = meters.setdefault(key, Meter(len(meters) + 1, verdict.kbit, burst)).id
        goto = None if verdict.drop else PipelineTable.RESIDUAL
        for match in _matches(traffics, inbound=inbound):
            yield Rule(
                PipelineTable.ACCESS_LISTS, priority, metadata + match, goto=goto, meter=meter, policy=verdict.policy
            )


def _matches(traffics: Iterable[Traffic], *, inbound: bool) -> Iterable[Match]:
    """Returns the OpenFlow matches of traffics without duplicates, as overlapping port ranges share some."""
    return dict.fromkeys(match for traffic in traffics for match in traffic.matches(inbound=inbound))


def traffic_of(network: Network, apps: Mapping[str, App], targets: Targets | Exceptions) -> Iterator[Traffic]:
    """Yields targets as sets of packets; apps and sites by their addresses in this network and in the catalogue."""
    if isinstance(targets, Targets) and targets.everything:
        yield EVERYTHING
    for kind in _kinds(network, apps, targets):
        yield from kind


def _kinds(
    network: Network, apps: Mapping[str, App], targets: Targets | Exceptions | Allowance
) -> Iterator[tuple[Traffic, ...]]:
    """Yields the packets that each key names, for the keys that are given."""
    if targets.apps:
        yield tuple(Traffic(remote=prefix) for app in targets.apps for prefix in _app_prefixes(network, apps, app))
    if targets.sites:
        yield tuple(Traffic(remote=_single(address)) for address in _site_addresses(network, targets.sites))
    if targets.addresses:
        yield tuple(Traffic(remote=prefix) for prefix in targets.addresses)
    if targets.ports:
        yield tuple(traffic for ports in targets.ports for traffic in of_ports(ports))
    if targets.protocols:
        yield tuple(traffic for protocol in targets.protocols for traffic in of_protocol(protocol))


def resolvers_of(network: Network, operator: str) -> tuple[Traffic, ...]:
    """Returns the traffic of subscribers' queries to their operator's resolver."""
    resolver = network.one(Role.RESOLVER, operator)
    return tuple(
        Traffic(protocol, (53, 53), remote=_single(address))
        for protocol in (UDP, TCP)
        for address in resolver.addresses
    )


def spared_by(
    network: Network, apps: Mapping[str, App], policy: Policy, vantage: Vantage, resolvers: Iterable[Traffic]
) -> tuple[Traffic, ...]:
    """Returns the part of a group's traffic that a policy exempts.

    An exempt name is useless unless it resolves, so the operator's resolver is exempt with it; and an exempt site that
    is hosted within the group may answer.
    """
    spared, asked = policy.except_, tuple(resolvers)
    found = list(traffic_of(network, apps, spared))
    if spared.apps or spared.sites:
        found += asked
    found += (Traffic(local=address) for address in _hosted_in(network, spared, vantage))
    for allowance in policy.allowed(vantage):
        inside = tuple(Traffic(local=prefix) for prefix in allowance.inside)
        found += in_all([*([inside] if inside else ()), *_kinds(network, apps, allowance)])
        if allowance.apps or allowance.sites:
            found += in_all([asked, inside] if inside else [asked])
    for allowance in policy.allow:
        clients = _clients(network, allowance)
        hosted = _hosted_in(network, allowance, vantage)
        found += (Traffic(local=address, remote=client) for address in hosted for client in clients(address.version))
    return tuple(found)


def _hosted_in(network: Network, named: Exceptions | Allowance, vantage: Vantage) -> list[IpPrefix]:
    """Returns the addresses of apps and sites within a group's own subnets."""
    addresses = [a for app in named.apps for a in network.addresses_of(app)]
    addresses += _site_addresses(network, named.sites)
    return [_single(a) for a in addresses if any(a in subnet for subnet in network.subnets[vantage.id])]


def _clients(network: Network, allowance: Allowance) -> Callable[[int], Iterable[IpPrefix | None]]:
    """Returns a function from an IP version to the prefixes whose traffic is allowed; None stands for any."""
    if allowance.who == Scope() and not allowance.inside:
        return lambda _: (None,)
    own = [prefix for v in network.vantages if allowance.who.covers(v) for prefix in _as_seen(network, v)]
    if allowance.inside:
        pairs = [narrower(subnet, prefix) for subnet in own for prefix in allowance.inside]
        own = [prefix for prefix in pairs if prefix]
    return lambda version: (prefix for prefix in own if prefix.version == version)


def _as_seen(network: Network, vantage: Vantage) -> Iterable[IpPrefix]:
    """Where others see a group's packets come from: of those who roam, from their home."""
    return [_single(a) for bearer in vantage.bearers for a in bearer.inner] or network.subnets[vantage.id]


def _app_prefixes(network: Network, apps: Mapping[str, App], app: str) -> tuple[IpPrefix, ...]:
    return tuple(dict.fromkeys([*apps[app].prefixes, *map(_single, network.addresses_of(app))]))


def _site_addresses(network: Network, sites: Iterable[str]) -> Iterator[Address]:
    wanted = frozenset(sites)
    for hosted in network.hosted if wanted else ():
        if any(is_within(name, wanted) for name in hosted.names):
            yield from hosted.addresses


@cache
def _single(address: Address) -> IpPrefix:
    return ipaddress.ip_network(str(address))
