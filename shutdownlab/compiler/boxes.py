"""Compiles the rules of an operator's DPI box, and those by which its DPI switch steers traffic to it. Pure.

The box applies the first rule that matches. The rules under `inspect` come first, in their order. Blocks and throttles
by name are composed as access lists are (see `traffic`): a connection exempt from one policy may be blocked by another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from ipaddress import ip_network

from shutdownlab.compiler import controls
from shutdownlab.compiler.connections import (
    ANY,
    PASS,
    Entry,
    Judgement,
    Whose,
    both,
    classifier,
    meet,
    narrower_prefix,
)
from shutdownlab.compiler.ends import SwitchSides, classify_ends
from shutdownlab.compiler.rules import Match, PipelineTable, Rule
from shutdownlab.compiler.traffic import address_and_mask
from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.numbers import ETHER_TYPES
from shutdownlab.config.scalars import Ports
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.verdict import Action as BoxAction
from shutdownlab.model.network import Network, Node
from shutdownlab.model.policy import BlockAction, Direction, Exceptions, Policy, Targets
from shutdownlab.model.routing import systems
from shutdownlab.model.targets import Allowance
from shutdownlab.model.topology import Vantage

_WHOLE = {
    "tcp": Ports(protocol="tcp", first=1, last=65535),
    "udp": Ports(protocol="udp", first=1, last=65535),
    "quic": Ports(protocol="udp", first=443, last=443),
}
_ACTIONS = {BlockAction.PROFILE: BoxAction.BLOCK, BlockAction.DROP: BoxAction.DROP, BlockAction.RESET: BoxAction.RESET}
BYPASS = Rule(PipelineTable.INSPECT, 1000, goto=PipelineTable.FORWARD)
"""Sends all traffic past a box that is down, if its profile fails open."""


def compile_box(network: Network, active: Mapping[str, Policy], operator: str) -> tuple[InspectionRule, ...]:
    """Returns the rules of an operator's DPI box: first match wins, no match passes.

    Subscriber groups under the same policies share their rules.
    """
    vantages = [vantage for vantage in network.vantages if vantage.id.operator == operator]
    own = [
        rule
        for name, policy in active.items()
        for rule in policy.inspect or ()
        for rule in _inspected(network, name, rule, [v for v in vantages if policy.concerns(v)])
    ]
    lists: dict[tuple[Entry, ...], list[IpPrefix]] = {}
    alike: dict[tuple[tuple[str, tuple[Allowance, ...]], ...], tuple[Entry, ...]] = {}
    for vantage in vantages:
        concerned = tuple(
            [
                (name, tuple(policy.allowed(vantage)))
                for name, policy in active.items()
                if policy.needs_boxes and policy.inspect is None and policy.concerns(vantage)
            ]
        )
        if concerned:
            if concerned not in alike:
                alike[concerned] = reduce(both, (_classifier(n, active[n], allowed) for n, allowed in concerned))
            lists.setdefault(alike[concerned], []).extend(_seen_by_boxes(network, vantage))
    named = [
        InspectionRule(
            name=judgement.policy or "spared",
            when=conditions.model_copy(update={"subscriber": inside}),
            verdict=judgement.verdict,
        )
        for entries, subnets in lists.items()
        for conditions, judgement in entries
        if (conditions, judgement) != (ANY, PASS) and (inside := _within(subnets, conditions.subscriber))
    ]
    return (*own, *named)


def _inspected(
    network: Network, policy: str, rule: InspectionRule, vantages: list[Vantage]
) -> Iterator[InspectionRule]:
    """Yields a policy's rule, restricted to the subscribers of these groups; nothing if it is about none of them."""
    when = _by_address(network, rule.when, vantages)
    if when is not None:
        when = when.model_copy(update={"subscriber": when.subscriber or _subnets(network, vantages)})
        if when.subscriber:
            yield rule.model_copy(update={"name": f"{policy}/{rule.name}", "when": when})


def _by_address(network: Network, when: Conditions, vantages: list[Vantage]) -> Conditions | None:
    """Replaces subscriber classes and autonomous systems by prefixes, as boxes do not know them.

    Returns None if no connection can meet the conditions.
    """
    changed: dict[str, object] = {}
    classes = when.subscriber_class
    if classes or when.subscriber:
        subnets = _subnets(network, [vantage for vantage in vantages if not classes or vantage.is_of(classes)])
        changed |= {"subscriber": _within(subnets, when.subscriber), "subscriber_class": ()}
    if when.asn:
        announced = systems(network)
        prefixes = [prefix for number in when.asn for prefix in announced.get(number, ())]
        changed |= {"address": _within(prefixes, when.address), "asn": ()}
    if not all(changed.get(key, True) for key in ("subscriber", "address")):
        return None
    if when.not_ is not None:
        changed["not_"] = _by_address(network, when.not_, vantages)
    return when.model_copy(update=changed)


def _subnets(network: Network, vantages: Iterable[Vantage]) -> tuple[IpPrefix, ...]:
    return tuple(subnet for vantage in vantages for subnet in _seen_by_boxes(network, vantage))


def _seen_by_boxes(network: Network, vantage: Vantage) -> Iterator[IpPrefix]:
    """Where a group's packets come from and go to, for a box: of those who roam also inside their tunnel, into which
    some look."""
    yield from network.subnets[vantage.id]
    yield from (ip_network(address) for bearer in vantage.bearers[:1] for address in bearer.inner)


def _within(subnets: Sequence[IpPrefix], given: tuple[IpPrefix, ...]) -> tuple[IpPrefix, ...]:
    """Returns the intersection of the subnets and the prefixes; all of the subnets if no prefix is given."""
    pairs = [narrower_prefix(subnet, prefix) for subnet in subnets for prefix in given] if given else subnets
    return tuple(dict.fromkeys(prefix for prefix in pairs if prefix is not None))


def _classifier(name: str, policy: Policy, allowed: Iterable[Allowance]) -> tuple[Entry, ...]:
    """Returns the part of a policy that boxes carry out, for subscriber groups with these allowances.

    For a one-way policy, which end's packets are dropped depends on the side that opened the connection.
    """
    wanted = list(_named(policy.boxed))
    if policy.freezes:
        wanted += [ANY] if policy.boxed.everything else _plain(policy.boxed)
    spared = [*_named(policy.except_), *_plain(policy.except_), *_allowed(allowed)]
    if policy.slows:
        up, down = policy.rate(inbound=False), policy.rate(inbound=True)
        slowed = Judgement(BoxAction.THROTTLE, rate_up=up, rate_down=down, policy=name)
        return classifier(((conditions, slowed) for conditions in wanted), spared)
    if policy.direction is Direction.BOTH and not policy.freezes:
        whole = Judgement(_ACTIONS[policy.action], residual=policy.residual, policy=name)
        return classifier(((conditions, whole) for conditions in wanted), spared)
    outbound = policy.direction is Direction.OUTBOUND
    action = BoxAction.FREEZE if policy.freezes else BoxAction.DROP
    openers: dict[str, Whose] = {"inside": "client", "outside": "server"}
    if not outbound:
        openers = {"inside": "server", "outside": "client"}
    targets = [
        (
            conditions.model_copy(update={"opener": opener}),
            Judgement(action, directions, cap=policy.freeze_after, policy=name),
        )
        for conditions in wanted
        for opener, directions in openers.items()
    ]
    return classifier(targets, spared)


def _named(targets: Targets | Exceptions) -> Iterator[Conditions]:
    """Yields the conditions that depend on the contents of packets."""
    if targets.apps:
        yield Conditions(app=targets.apps)
    if targets.sites:
        yield Conditions(name_suffix=targets.sites)
    if isinstance(targets, Targets) and targets.recognised:
        yield Conditions(protocol=targets.recognised)


def _plain(targets: Targets | Exceptions) -> Iterator[Conditions]:
    """Yields the conditions that depend on addresses and ports; protocols without ports carry no names to block by."""
    if targets.addresses:
        yield Conditions(address=targets.addresses)
    ports = [*targets.ports, *(_WHOLE[protocol] for protocol in targets.protocols if protocol in _WHOLE)]
    if ports:
        yield Conditions(port=tuple(ports))


def _allowed(allowances: Iterable[Allowance]) -> Iterator[Conditions]:
    """Yields the connections that each allowance lets through: those that meet all its conditions."""
    for given in allowances:
        whole = tuple(_WHOLE[protocol] for protocol in given.protocols if protocol in _WHOLE)
        if given.protocols and not whole:
            continue  # protocols without ports carry no names to block by
        parts = [
            Conditions(subscriber=given.inside), Conditions(address=given.addresses), Conditions(app=given.apps),
            Conditions(name_suffix=given.sites), Conditions(port=given.ports), Conditions(port=whole),
        ]  # fmt: skip
        met: Conditions | None = ANY
        for part in parts:
            met = meet(met, part) if met is not None else None
        if met is not None:
            yield met


def steering(network: Network, active: Mapping[str, Policy], node: Node, *, on_path: bool) -> Iterator[Rule]:
    """Yields rules that send inspected subscribers' undecided connections through the box, or (`on_path`) copies to it.

    Yields nothing if no subscriber is inspected: classifying by connection costs a datapath flow for each.
    """
    inspected = {name: policy for name, policy in active.items() if policy.needs_boxes}
    ports = {port.purpose: port.number for port in node.ports.values()}
    ways = [
        ("border-intl", "src", "box-inside"),
        ("border-ix", "src", "box-inside"),
        ("gateway", "dst", "box-outside"),
        ("exchange", "dst", "box-outside"),
    ]
    inside, outside = (
        tuple(ports[purpose] for purpose, _, at in ways if at == box and purpose in ports)
        for box in ("box-inside", "box-outside")
    )
    sides = SwitchSides(inside, outside)
    onwards = PipelineTable.FORWARD if on_path else None
    rules: list[Rule] = []
    for vantage in network.vantages:
        name = next((name for name, policy in inspected.items() if policy.concerns(vantage)), None)
        if name is None or vantage.id.operator != node.owner:
            continue
        rules += controls.passing(network, vantage, sides.inside, sides.outside, PipelineTable.INSPECT)
        for subnet in network.subnets[vantage.id]:
            kind = ETHER_TYPES[subnet.version]
            for purpose, side, box in ways:
                if purpose in ports:
                    field = f"ipv{subnet.version}_{side}"
                    match: Match = (("in_port", ports[purpose]), ("eth_type", kind), (field, address_and_mask(subnet)))
                    rules.append(Rule(PipelineTable.INSPECT, 100, match, onwards, outputs=(ports[box],), policy=name))
    if rules:
        yield from dict.fromkeys(rules)  # groups share some of the rules for controls
        yield from classify_ends(sides)
