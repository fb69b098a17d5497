"""The orders and faults of a run, and the phases in which they were in force. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shutdownlab.model.policy import Means, Point, Policy, Targets
from shutdownlab.reporting.page.account import RunAccount


@dataclass(frozen=True, slots=True)
class Order:
    """A policy that was in force, or a fault of the scenario that was present, in some of the measured phases.

    by: what enforces it. place: its `file:line`, relative to the scenario's folder. phases: the indices of the phases
    in which it was in force. Strings are empty if unknown.
    """

    name: str
    title: str
    by: str
    source: str
    place: str
    phases: tuple[int, ...]
    is_fault: bool = False

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Yields the first and last phase of each period in which it was in force."""
        first = last = -2
        for place in self.phases:
            if place != last + 1:
                if last >= 0:
                    yield first, last
                first = place
            last = place
        if last >= 0:
            yield first, last


def orders_of(account: RunAccount, ordered: Mapping[str, Iterable[str]]) -> tuple[Order, ...]:
    """Returns the orders of a run, in the order in which they first came into force.

    ordered: the policies' names by phase, from the run's events; used only if the scenario is not available.
    """
    shutdown, found = account.shutdown, dict[str, list[int]]()
    choices = dict(account.manifest.get("choices", {}))
    for place, span in enumerate(account.spans):
        names = ordered.get(span.name, ()) if shutdown is None else shutdown.scenario.active(span.name, choices)
        for name in names:
            found.setdefault(name, []).append(place)
    if shutdown is None:
        return tuple(Order(name, name, "", "", "", tuple(places)) for name, places in found.items())
    policies = shutdown.scenario.policies
    return tuple(
        Order(name, policies[name].title, _by(policies[name]), policies[name].source,
              account.within(shutdown.place(("policies", name))), tuple(places))
        for name, places in found.items()
    )  # fmt: skip


def breakdowns_of(account: RunAccount, damaged: Mapping[str, Mapping[str, str]]) -> tuple[Order, ...]:
    """Returns the faults of the scenario, which nobody ordered, in the order in which they first occurred.

    damaged: their titles by phase and name, from the run's events; used only if the scenario is not available.
    """
    shutdown, found, titles = account.shutdown, dict[str, list[int]](), dict[str, str]()
    for place, span in enumerate(account.spans):
        there = damaged.get(span.name, {})
        if shutdown is not None:
            choices = dict(account.manifest.get("choices", {}))
            broken = shutdown.scenario.broken(shutdown.scenario.phase(span.name), choices, active={})
            there = {name: fault.title for name, fault in broken.items()}
        for name, title in there.items():
            found.setdefault(name, []).append(place)
            titles[name] = title
    known = shutdown.scenario.faults if shutdown is not None else {}
    return tuple(
        Order(name, titles[name], "nobody: a fault", known[name].source if name in known else "",
              account.within(shutdown.place(("faults", name))) if shutdown is not None else "", tuple(places),
              is_fault=True)
        for name, places in found.items()
    )  # fmt: skip


def _by(policy: Policy) -> str:
    """Returns what enforces a policy."""
    if policy.withdraw or policy.announce or policy.hijack or policy.leak:
        return "border routers, by BGP"
    if policy.null_route is not None:
        return "border routers, which discard what comes"
    if policy.breakage is not None:
        return "whoever has the cables, the power or the masts"
    if policy.degrade is not None and policy.degrade.stretches:
        return "subscribers' lines" + (" and operators' switches" if policy.degrade.slows else "")
    if policy.block_after is not None:
        return "border routers, which count"
    if policy.rejects:
        return "border routers, which reject it"
    if policy.inspect is not None:
        return "DPI boxes"
    if policy.by is Means.DNS:
        return "operators' resolvers"
    if policy.at is Point.GATEWAY:
        at = policy.where.gateways
        return f"the switch of {' and '.join(at)}" if at else "the national gateway's switch"
    by_box, by_switch = policy.needs_boxes, policy.switched != Targets()
    return " and ".join(part for part, is_so in (("DPI boxes", by_box), ("operators' switches", by_switch)) if is_so)
