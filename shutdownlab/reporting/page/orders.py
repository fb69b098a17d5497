"""The orders and faults of a run, and the phases in which they were in force. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shutdownlab.model.policy import Means, Point, Policy, Targets
from shutdownlab.reporting.page.account import RunAccount


@dataclass(frozen=True, slots=True)
class Order:
    """A policy that was in force, or a fault of the scenario that was present, in some phases up to the last measured.

    by: what enforces it. place: its `file:line`, relative to the scenario's folder. phases: the indices of the measured
    phases in which it was in force. stretches: begin and end of each period in which it was, phases that were not
    measured included; the end is None if unknown. Strings are empty if unknown.
    """

    name: str
    title: str
    by: str
    source: str
    place: str
    phases: tuple[int, ...]
    stretches: tuple[tuple[datetime, datetime | None], ...] = ()
    is_fault: bool = False


def orders_of(account: RunAccount, ordered: Mapping[str, Iterable[str]]) -> tuple[Order, ...]:
    """Returns the orders of a run, in the order in which they first came into force.

    ordered: the policies' names by phase, from the run's events; used only if the scenario is not available.
    """
    shutdown = account.shutdown
    choices = dict(account.manifest.get("choices", {}))
    found = _in_force(
        account, lambda phase: ordered.get(phase, ()) if shutdown is None else shutdown.scenario.active(phase, choices)
    )
    if shutdown is None:
        return tuple(Order(name, name, "", "", "", *times) for name, times in found.items())
    policies = shutdown.scenario.policies
    return tuple(
        Order(name, policies[name].title, _by(policies[name]), policies[name].source,
              account.within(shutdown.place(("policies", name))), *times)
        for name, times in found.items()
    )  # fmt: skip


def breakdowns_of(account: RunAccount, damaged: Mapping[str, Mapping[str, str]]) -> tuple[Order, ...]:
    """Returns the faults of the scenario, which nobody ordered, in the order in which they first occurred.

    damaged: their titles by phase and name, from the run's events; used only if the scenario is not available.
    """
    shutdown, titles = account.shutdown, dict[str, str]()
    choices = dict(account.manifest.get("choices", {}))

    def there(phase: str) -> Iterable[str]:
        here = damaged.get(phase, {})
        if shutdown is not None:
            broken = shutdown.scenario.broken(shutdown.scenario.phase(phase), choices, active={})
            here = {name: fault.title for name, fault in broken.items()}
        titles.update(here)
        return here

    found = _in_force(account, there)
    known = shutdown.scenario.faults if shutdown is not None else {}
    return tuple(
        Order(name, titles[name], "nobody: a fault", known[name].source if name in known else "",
              account.within(shutdown.place(("faults", name))) if shutdown is not None else "", *times,
              is_fault=True)
        for name, times in found.items()
    )  # fmt: skip


_Times = tuple[tuple[int, ...], tuple[tuple[datetime, datetime | None], ...]]


def _in_force(account: RunAccount, names_in: Callable[[str], Iterable[str]]) -> dict[str, _Times]:
    """Returns the indices of the measured phases, and the stretches of time, in which each was in force."""
    place_of = {span.name: place for place, span in enumerate(account.spans)}
    places, stretches = dict[str, list[int]](), dict[str, list[tuple[datetime, datetime | None]]]()
    for span in account.states:
        for name in names_in(span.name):
            of_it = stretches.setdefault(name, [])
            begin = of_it.pop()[0] if of_it and of_it[-1][1] == span.at else span.at
            of_it.append((begin, span.until))
            places.setdefault(name, []).extend([place_of[span.name]] if span.name in place_of else [])
    return {name: (tuple(places[name]), tuple(of_it)) for name, of_it in stretches.items()}


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
