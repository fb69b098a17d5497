"""Which of a measurement's connections decides its outcome, and which policies do. Pure."""

from __future__ import annotations

from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.equipment import SwitchStep
from shutdownlab.verifier.line import ModelledLine
from shutdownlab.verifier.wire import ModelledConnection


def deciding_wire(line: ModelledLine, outcome: Outcome) -> ModelledConnection | None:
    """Returns the connection that decides an outcome, or None if there are no connections.

    That is the last slowed one if the outcome is throttled; the first that did not get through if it is not ok, or else
    the query of a resolver's own that was not answered; else the last.
    """
    if not line.wires:
        return line.unanswered
    failed = [wire for wire in line.wires if wire.stops or any(s.decision.action != "pass" for s in wire.seen)]
    slowed = [wire for wire in line.wires if wire.kbit is not None or line.country.line_of(line.at.vantage).policies]
    if outcome is Outcome.THROTTLED and slowed:
        return slowed[-1]
    if outcome is Outcome.OK:
        return line.wires[-1]
    return failed[0] if failed else line.unanswered or line.wires[-1]


def policies_of(wire: ModelledConnection) -> tuple[str, ...]:
    """Returns the policies that stop or slow a connection: on switches, in DPI boxes, at the border, on its lines."""
    both = (step for by_client in (True, False) for step in wire.steps(by_client))
    rejected = [each.policy for by_client in (True, False) if (each := wire.dropped_at_border(by_client)) is not None]
    names = [step.fate.decided_by.policy for step in both if (stops(step) or slows(step)) and step.fate.decided_by]
    for seen in wire.seen:
        if seen.decision.action != "pass":
            names += policies_of_rule(wire, seen.operator, seen.decision.rule or "")
    names += [*rejected, *wire.slowing_lines]
    return tuple(dict.fromkeys(name for name in names if wire.country.knows(name)))


def policies_of_rule(wire: ModelledConnection, operator: str, rule: str) -> tuple[str, ...]:
    """Returns the policy that a DPI box's rule is for; if the rule is the device's own, those that use the box."""
    name = rule.partition("/")[0]
    if wire.country.knows(name):
        return (name,)
    nodes = wire.country.network.nodes
    ends = [end for host in (wire.client, wire.server) if host is not None and (end := nodes[host].vantage) is not None]
    held = wire.country.active(operator)
    return tuple(name for name, policy in held.items() if policy.needs_boxes and any(map(policy.concerns, ends)))


def stops(step: SwitchStep) -> bool:
    """Whether the packet is dropped at this switch, by its headers alone."""
    return step.fate.dropped


def slows(step: SwitchStep) -> bool:
    """Whether a meter limits the rate at this switch."""
    return step.fate.rate is not None
