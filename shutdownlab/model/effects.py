"""Finds the orders of a scenario that can have no effect, with the reasons. Pure.

Such an order is no mistake and nothing is refused, but its author expects something and will measure nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shutdownlab.config.addresses import IpPrefix, is_part, overlap
from shutdownlab.config.document import Document, Path, dotted
from shutdownlab.config.scalars import duration_text, hours_text, rate_text
from shutdownlab.inspection.apps import App
from shutdownlab.inspection.conditions import Conditions
from shutdownlab.inspection.contradictions import ONLY_IN
from shutdownlab.inspection.patterns import hopeless_part, possible_names
from shutdownlab.inspection.policy import InspectionRule
from shutdownlab.inspection.profile import Profile
from shutdownlab.inspection.verdict import Action
from shutdownlab.model.absent import Absent
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.scenario import Phase, Scenario
from shutdownlab.model.targets import Targets
from shutdownlab.model.topology import Vantage

_MOST_NAMED = 12
_HELLO = ("tls", "dot", "doh", "tor", "quic", "dtls")
_NEEDS = {**ONLY_IN, **dict.fromkeys(("ja4", "ech", "esni", "version"), _HELLO)}
"""Conditions, and the protocols that have the field they test."""


_WITHOUT_IPV6 = "no subscriber that the policy covers has IPv6: their operators have no IPv6 prefixes"
_INTO_TUNNELS = "looks into GTP-U tunnels (`ip: {tunnels: …}`), and takes what is inside for the connection"


@dataclass(frozen=True, slots=True)
class Idle:
    """An order without effect: where it is written, and why it has none."""

    file: str
    line: int
    where: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: no effect: {self.reason}"


def without_effect(
    scenario: Scenario,
    network: Network,
    apps: Mapping[str, App],
    profiles: Mapping[str, Profile],
    document: Document,
) -> Iterator[Idle]:
    """Yields all orders that can have no effect, in the file's order.

    apps: all that the scenario may name. profiles: of the DPI boxes, by operator.

    Unused policies of a file other than the timeline's (one that the scenario extends or includes) are reported
    together, one `Idle` a file: such a file is used for what it offers, and nothing in it needs fixing.
    """
    unused: dict[str, list[str]] = {}
    timeline = document.locate(("timeline",))[0].file
    absent = Absent(scenario, network, apps)
    for name, policy in scenario.policies.items():
        path: Path = ("policies", name)
        if not _phases_of(scenario, name) and (other := document.locate(path)[0].file) != timeline:
            unused.setdefault(other, []).append(name)
            continue
        for place, reason in _reasons(scenario, network, profiles, name, policy, absent):
            file, at = document.locate((*path, *place))
            yield Idle(file.file, document.line((*path, *place)), dotted(at), reason)
    yield from _too_late(scenario, network, document)
    for other, names in unused.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        reason = f"no phase of this timeline starts these policies of {other}: {', '.join(names[:_MOST_NAMED])}{more}"
        yield Idle(timeline, document.line(("timeline",)), "policies", reason)


def _reasons(
    scenario: Scenario, network: Network, profiles: Mapping[str, Profile], name: str, policy: Policy, absent: Absent
) -> Iterator[tuple[Path, str]]:
    phases = _phases_of(scenario, name)
    if not phases:
        yield (), "no phase starts it"
        return
    vantages = [vantage for vantage in network.vantages if policy.concerns(vantage)]
    if not vantages:
        yield ("except",), "it spares every subscriber that the policy covers"
        return
    named = policy.targets.addresses
    if named and policy.targets.model_fields_set == {"addresses"} and not _have_any(vantages, named):
        yield ("only" if policy.slows else "block", "addresses"), _WITHOUT_IPV6
        return
    if _spares_all_targets(policy):
        yield ("except",), "it spares everything that the policy is about"
        return
    if slowed := _slows_nothing(network, policy, vantages):
        yield slowed
        return
    if _is_about_dns(policy) and not _asks_abroad(scenario, vantages):
        yield (
            (),
            "DPI boxes do not see queries to an operator's own resolver, which is on the subscribers' side of the "
            "box, and no probe uses another resolver (`resolver: 8.8.8.8`)",
        )
        return
    if policy.needs_boxes and _only_gtp(policy.targets):
        boxes = {operator: profile for operator, profile in profiles.items() if _has(vantages, operator)}
        if boxes and all(profile.ip.tunnels for profile in boxes.values()):
            operator, profile = next(iter(boxes.items()))
            key = "only" if policy.slows else "block"
            yield (key,), f"{operator}'s box, {profile.name}, {_INTO_TUNNELS}; `ports: [udp/2152]` needs no box"
            return
    yield from absent.reasons(policy)
    rules = policy.inspect or ()
    for index, rule in enumerate(rules):
        place: Path = ("inspect", index, "when")
        if first := _met_before(rules[:index], rule):
            yield (
                ("inspect", index),
                f"the rule {first} above it matches all of this, and the first rule that matches decides",
            )
            continue
        yield from ((place, reason) for reason in _nobody(network, rule.when, vantages))
        if rule.when.hours is not None and not any(_is_within(scenario, phase, rule.when) for phase in phases):
            begin = ", ".join(phase.phase for phase in phases)
            yield (
                (*place, "hours"),
                f"no phase in which it is in force ({begin}) begins within {hours_text(rule.when.hours)}, local time "
                "by `utc_offset`",
            )
        boxes = {operator: profile for operator, profile in profiles.items() if _has(vantages, operator)}
        reasons = {operator: _unseen(rule, profile) for operator, profile in boxes.items()}
        if boxes and all(reasons.values()):
            operator, reason = next(iter(reasons.items()))
            yield place, f"{operator}'s box, {boxes[operator].name}, {reason}"
        elif rule.when.keyword:
            yield from ((place, reason) for reason in _keywords_alone(boxes))


def _too_late(scenario: Scenario, network: Network, document: Document) -> Iterator[Idle]:
    """Yields the usual delays of operators that are longer than a phase with new orders, one `Idle` an operator."""
    changing = [phase for phase in scenario.timeline if phase.start or phase.stop]
    for operator in network.topology.operators:
        delay, own = scenario.delay_of(operator, network.topology), ("delays", operator)
        for phase in changing:
            lasts = (scenario.end_of(phase) - phase.at).total_seconds()
            if (how := phase.obey.get(operator)) is not None and how.after is not None:
                continue
            if phase.stagger is None and 0 < lasts < delay:
                path: Path = own if operator in scenario.delays else ("timeline", scenario.timeline.index(phase))
                file, at = document.locate(path)
                reason = (
                    f"{operator} obeys {duration_text(delay)} after an order, later than {phase.phase} ends, which is "
                    f"measured as if it had obeyed; `obey: {{{operator}: {{ignores: …}}}}` there says that it has not"
                )
                yield Idle(file.file, document.line(path), dotted(at), reason)
                break


def _have_any(vantages: Iterable[Vantage], named: Iterable[IpPrefix]) -> bool:
    """Returns whether any of these subscribers can send to any of these addresses."""
    versions = {version for vantage in vantages for version in vantage.versions}
    return any(each.version in versions for each in named)


def _spares_all_targets(policy: Policy) -> bool:
    """Returns whether each target of a policy is also one of its exceptions."""
    targets, spared = policy.targets, policy.except_
    if targets.voice or targets.sms:  # which no exception names
        return False
    spans = [
        any(s.protocol in {None, t.protocol} and s.first <= t.first and t.last <= s.last for s in spared.ports)
        for t in targets.ports
    ]
    sites = [any(f".{site}".endswith(f".{other}") for other in spared.sites) for site in targets.sites]
    addresses = [any(is_part(address, other) for other in spared.addresses) for address in targets.addresses]
    named = [
        *spans,
        *sites,
        *addresses,
        *(app in spared.apps for app in targets.apps),
        *(protocol in spared.protocols for protocol in targets.protocols),
    ]
    return bool(named) and all(named)


def _slows_nothing(network: Network, policy: Policy, vantages: list[Vantage]) -> tuple[Path, str] | None:
    """Returns where a policy says how lines are slowed, and why it slows none of these; None if it may slow some."""
    degrade = policy.degrade
    if not policy.slows or (degrade is not None and degrade.stretches):
        return None
    if degrade is not None and not degrade.slows:
        return ("degrade",), "it adds no delay and no loss, and limits no rate"
    most = _fastest_line(network, vantages)
    limits = [policy.rate(inbound=inbound) for inbound in (True, False)]
    if not most or any(limit is not None and limit < most for limit in limits):
        return None
    place: Path = ("throttle",) if degrade is None else ("degrade", "rate") if degrade.rate else ("degrade",)
    return place, f"the lines of these subscribers carry at most {rate_text(most)} anyway"


def _fastest_line(network: Network, vantages: list[Vantage]) -> int:
    """Returns the rate of the fastest line of these groups, in kbit/s; 0 if any line is unlimited."""
    used = {vantage.access.value for vantage in vantages}
    carried = [link.bandwidth for kind, link in network.topology.links.items() if kind in used]
    return max(rate or 0 for rate in carried) if len(carried) == len(used) and all(carried) else 0


def _met_before(rules: Sequence[InspectionRule], rule: InspectionRule) -> str:
    """Returns the name of the first rule that certainly matches whatever `rule` matches; "" if there is none."""
    for earlier in rules:
        if earlier.when in (rule.when, Conditions()) and earlier.when.probability == 1:
            return earlier.name
    return ""


def _phases_of(scenario: Scenario, policy: str) -> list[Phase]:
    """Returns the phases in which a policy is in force under some choice of accounts."""
    found: list[Phase] = []
    active = False
    for phase in scenario.timeline:
        active = policy in phase.start or (active and policy not in phase.stop)
        if active:
            found.append(phase)
    return found


def _has(vantages: list[Vantage], operator: str) -> bool:
    return any(vantage.id.operator == operator for vantage in vantages)


def _only_gtp(targets: Targets) -> bool:
    return targets.protocols == ("gtp",) and targets.model_fields_set == {"protocols"}


def _is_about_dns(policy: Policy) -> bool:
    """Returns whether a policy can match nothing but DNS queries in cleartext."""
    if policy.inspect:
        return all(_is_dns_rule(rule) for rule in policy.inspect)
    return policy.needs_boxes and policy.inspect is None and policy.targets.protocols == ("dns",)


def _is_dns_rule(rule: InspectionRule) -> bool:
    return (
        bool(rule.when.qtype)
        or rule.when.about_answers
        or rule.when.protocol == ("dns",)
        or rule.verdict.action == Action.DNS
    )


def _asks_abroad(scenario: Scenario, vantages: list[Vantage]) -> bool:
    """Returns whether a probe from one of these vantage points uses a resolver of its own choice, or may, as programs
    do."""
    return any(
        (probe.resolver_address is not None or probe.programs) and any(probe.from_.covers(each) for each in vantages)
        for probe in scenario.probes.values()
    )


def _nobody(network: Network, when: Conditions, vantages: list[Vantage]) -> Iterator[str]:
    classes = when.subscriber_class
    if when.address and not _have_any(vantages, when.address):
        yield _WITHOUT_IPV6
    chosen = [vantage for vantage in vantages if not classes or vantage.is_of(classes)]
    if not chosen:
        yield f"no subscriber that the policy covers is of the class {', '.join(classes)}"
        return
    subnets = [subnet for vantage in chosen for subnet in network.subnets[vantage.id]]
    if when.subscriber and not any(overlap(subnet, given) for subnet in subnets for given in when.subscriber):
        yield f"no subscriber that the policy covers has an address in {', '.join(map(str, when.subscriber))}"


def _is_within(scenario: Scenario, phase: Phase, when: Conditions) -> bool:
    assert when.hours is not None
    begin, end = ((at.hour * 60 + at.minute) * 60 for at in when.hours)
    second = int(scenario.local_time(phase)) % 86400
    return begin <= second < end if begin <= end else second >= begin or second < end


def _unseen(rule: InspectionRule, profile: Profile) -> str:
    """Returns why a box with this profile never matches a rule; "" if it may."""
    when = rule.when
    for key, protocols in _NEEDS.items():
        given = getattr(when, key)
        if given not in ((), None) and profile.protocols and not {*protocols} & {*profile.protocols}:
            return f"parses only {', '.join(profile.protocols)}, where `{key}` matches nothing"
    if when.protocol == ("gtp",) and profile.ip.tunnels:
        return _INTO_TUNNELS
    if reason := _never_in_names(when, profile):
        return reason
    if when.about_answers and profile.inspect == "client":
        return "looks only at what clients send, never at answers"
    if when.about_answers and profile.placement == "on-path" and rule.verdict.action == Action.BLOCK:
        return "is on-path, and cannot remove an answer"
    if when.opener is not None and profile.opener not in ("any", when.opener):
        return f"acts only on connections opened from {profile.opener}"
    if when.direction is not None and profile.only_direction not in (None, when.direction):
        return f"looks only at {profile.only_direction} packets"
    limits = [profile.ports.get(protocol) for protocol in when.protocol]
    if when.port and limits and all(limits):
        looked_at = [span for spans in limits for span in spans or ()]
        if not any(
            span.first <= given.last and given.first <= span.last and {span.protocol, given.protocol} != {"tcp", "udp"}
            for span in looked_at
            for given in when.port
        ):
            return f"looks for {', '.join(when.protocol)} only on {', '.join(map(str, looked_at))}"
    return ""


def _never_in_names(when: Conditions, profile: Profile) -> str:
    """Returns why no name that a box reads meets the rule's patterns: it takes ports and final dots off."""
    looked_for = (*map(re.escape, when.name_contains), *when.name_regex)
    if not looked_for or when.name_exact or when.name_suffix:
        return ""
    parse = profile.parse
    left = possible_names(ports=not parse.http_port, final_dot=not parse.trailing_dot)
    if not all(hopeless_part(pattern, left) for pattern in looked_for):
        return ""
    taken = [what for what, gone in (("ports", parse.http_port), ("final dots", parse.trailing_dot)) if gone]
    return f"takes {' and '.join(taken)} off the names that it reads"


def _keywords_alone(boxes: Mapping[str, Profile]) -> Iterator[str]:
    """Yields the protocols outside which keywords are ignored, for the first box that parses only some protocols."""
    for operator, profile in boxes.items():
        if profile.protocols:
            seen = ", ".join(profile.protocols)
            yield f"outside {seen}: {operator}'s box, {profile.name}, looks for keywords only there"
            return
