"""What an operator's DPI box is told, and what its DPI switch steers through it. Pure.

The box takes the first rule that matches, so policies in force together are composed as access lists are (see
`traffic`): what one spares, another may still block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from shutdownlab.compiler.connections import ANY, PASS, Entry, Judgement, Whose, both, classifier
from shutdownlab.compiler.rules import Rule, Table
from shutdownlab.inspection.policy import Conditions, InspectionRule
from shutdownlab.inspection.verdict import Action as BoxAction
from shutdownlab.model.network import Network, Node
from shutdownlab.model.policy import Direction, Exceptions, Means, Policy, Targets
from shutdownlab.model.values import Network as Prefix
from shutdownlab.model.values import Ports

_WHOLE = {
    "tcp": Ports(protocol="tcp", first=1, last=65535),
    "udp": Ports(protocol="udp", first=1, last=65535),
    "quic": Ports(protocol="udp", first=443, last=443),
}


def is_for_boxes(policy: Policy) -> bool:
    """Whether some of it, its apps and sites, is told apart by DPI boxes."""
    return policy.by is Means.DPI and policy.targets.named and not policy.targets.everything


def compile_box(network: Network, active: Mapping[str, Policy], operator: str) -> tuple[InspectionRule, ...]:
    """The rules of an operator's DPI box: first match wins, no match passes. Subscriber groups alike share theirs."""
    lists: dict[tuple[Entry, ...], list[Prefix]] = {}
    for vantage in network.vantages:
        concerned = [
            _classifier(name, policy)
            for name, policy in active.items()
            if is_for_boxes(policy) and policy.concerns(vantage)
        ]
        if vantage.id.operator == operator and concerned:
            lists.setdefault(reduce(both, concerned), []).extend(network.subnets[vantage.id])
    return tuple(
        InspectionRule(
            name=judgement.policy or "spared",
            when=conditions.model_copy(update={"subscriber": tuple(subnets)}),
            verdict=judgement.verdict,
        )
        for entries, subnets in lists.items()
        for conditions, judgement in entries
        if (conditions, judgement) != (ANY, PASS)
    )


def _classifier(name: str, policy: Policy) -> tuple[Entry, ...]:
    """One policy's apps and sites. One direction alone: whose packets suffer depends on who opened the connection."""
    wanted = list(_named(policy.targets))
    spared = [*_named(policy.except_), *_plain(policy.except_)]
    action = BoxAction.THROTTLE if policy.throttle is not None else BoxAction(policy.action.value)
    if policy.direction is Direction.BOTH:
        whole = Judgement(action, rate_up=policy.throttle, rate_down=policy.throttle, policy=name)
        return classifier(((conditions, whole) for conditions in wanted), spared)
    outbound = policy.direction is Direction.OUTBOUND
    if policy.throttle is not None:
        up, down = (policy.throttle, None) if outbound else (None, policy.throttle)
        half = Judgement(action, rate_up=up, rate_down=down, policy=name)
        return classifier(((conditions, half) for conditions in wanted), spared)
    openers: dict[str, Whose] = {"inside": "client", "outside": "server"}
    if not outbound:
        openers = {"inside": "server", "outside": "client"}
    targets = [
        (conditions.model_copy(update={"opener": opener}), Judgement(action, directions, policy=name))
        for conditions in wanted
        for opener, directions in openers.items()
    ]
    return classifier(targets, spared)


def _named(targets: Targets | Exceptions) -> Iterator[Conditions]:
    if targets.apps:
        yield Conditions(app=targets.apps)
    if targets.sites:
        yield Conditions(name_suffix=targets.sites)


def _plain(spared: Exceptions) -> Iterator[Conditions]:
    """What is told apart without a name; protocols without ports have no names to be blocked by."""
    if spared.addresses:
        yield Conditions(address=spared.addresses)
    ports = [*spared.ports, *(_WHOLE[protocol] for protocol in spared.protocols if protocol in _WHOLE)]
    if ports:
        yield Conditions(port=tuple(ports))


def steering(network: Network, active: Mapping[str, Policy], node: Node) -> Iterator[Rule]:
    """Steer what undecided connections of inspected subscribers send and get through the box."""
    inspected = {name: policy for name, policy in active.items() if is_for_boxes(policy)}
    ports = {port.purpose: port.number for port in node.ports.values()}
    ways = [
        ("border-intl", "src", "box-inside"),
        ("border-ix", "src", "box-inside"),
        ("gateway", "dst", "box-outside"),
        ("exchange", "dst", "box-outside"),
    ]
    for vantage in network.vantages:
        name = next((name for name, policy in inspected.items() if policy.concerns(vantage)), None)
        if name is None or vantage.id.operator != node.owner:
            continue
        for subnet in network.subnets[vantage.id]:
            kind = 0x0800 if subnet.version == 4 else 0x86DD
            masked = (str(subnet.network_address), str(subnet.netmask))
            for purpose, side, box in ways:
                if purpose in ports:
                    field = f"ipv{subnet.version}_{side}"
                    match = (("in_port", ports[purpose]), ("eth_type", kind), (field, masked))
                    yield Rule(Table.INSPECT, 100, match, outputs=(ports[box],), policy=name)
