"""What an operator's DPI box is told, and what its DPI switch steers through it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shutdownlab.compiler.rules import Rule, Table
from shutdownlab.inspection.policy import Conditions, InspectionRule
from shutdownlab.inspection.policy import Verdict as BoxVerdict
from shutdownlab.inspection.verdict import Action as BoxAction
from shutdownlab.model.network import Network, Node
from shutdownlab.model.policy import Action, Means, Policy
from shutdownlab.model.topology import Vantage
from shutdownlab.model.values import Network as Prefix


def compile_box(network: Network, active: Mapping[str, Policy], operator: str) -> tuple[InspectionRule, ...]:
    """The rules of an operator's DPI box, exemptions first: first match wins there."""
    rules: list[InspectionRule] = []
    for name, policy in active.items():
        if not is_for_boxes(policy):
            continue
        subnets = tuple(s for group in _groups(network, policy, operator) for s in network.subnets[group.id])
        if not subnets:
            continue
        spared = policy.except_
        if spared.apps:
            rules.append(_box_rule(f"{name}/except", subnets, spared.apps, (), BoxVerdict(action=BoxAction.PASS)))
        if spared.sites:
            rules.append(_box_rule(f"{name}/except", subnets, (), spared.sites, BoxVerdict(action=BoxAction.PASS)))
        verdict = _box_verdict(policy)
        if policy.targets.apps:
            rules.append(_box_rule(name, subnets, policy.targets.apps, (), verdict))
        if policy.targets.sites:
            rules.append(_box_rule(name, subnets, (), policy.targets.sites, verdict))
    return tuple(rules)


def is_for_boxes(policy: Policy) -> bool:
    return policy.by is Means.DPI and policy.targets.named


def _box_verdict(policy: Policy) -> BoxVerdict:
    if policy.throttle is not None:
        return BoxVerdict(action=BoxAction.THROTTLE, rate_up=policy.throttle, rate_down=policy.throttle)
    return BoxVerdict(action={Action.DROP: BoxAction.DROP, Action.RESET: BoxAction.RESET}[policy.action])


def _box_rule(
    name: str, subnets: tuple[Prefix, ...], apps: tuple[str, ...], sites: tuple[str, ...], verdict: BoxVerdict
) -> InspectionRule:
    when = Conditions(app=apps, name_suffix=sites, subscriber=subnets)
    return InspectionRule(name=name, when=when, verdict=verdict)


def _groups(network: Network, policy: Policy, operator: str) -> Iterator[Vantage]:
    return (v for v in network.vantages if v.id.operator == operator and policy.concerns(v))


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
