"""The services lost in a shutdown, by groups of subscribers, and the hours lost, weighted by subscribers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from shutdownlab.model.scenario import Scenario
from shutdownlab.results.result import Result
from shutdownlab.results.table import Share

SLOW = 0.5
"""Share of a slow service that counts as lost; assumed."""


class Group(NamedTuple):
    """The ordinary subscribers of an operator in a region, in a phase."""

    operator: str
    region: str
    phase: str


@dataclass(frozen=True)
class Losses:
    """The losses in a shutdown.

    hours, begins: duration and start of each measured phase, in order. people: share of the country's subscribers, by
    operator and region. shares: for each group and service, how many measurements got through.
    """

    hours: Mapping[str, float]
    begins: Mapping[str, datetime]
    people: Mapping[tuple[str, str], float]
    shares: Mapping[Group, Mapping[str, Share]]

    @cached_property
    def services(self) -> tuple[str, ...]:
        """All measured services, in order."""
        return tuple(dict.fromkeys(service for found in self.shares.values() for service in found))

    def lost(self, group: Group) -> float:
        """Returns how much of the Internet a group lost, 0 to 1: the mean over its services."""
        found = [_lost(share) for share in self.shares[group].values() if share.measured]
        return sum(found) / len(found) if found else 0.0

    def cut_off(self, group: Group) -> bool:
        """Whether at least half of the measured services reached none of the group."""
        fractions = [share.fraction for share in self.shares[group].values() if share.fraction is not None]
        return bool(fractions) and 2 * sum(fraction == 0 for fraction in fractions) >= len(fractions)

    def hours_of(self, group: Group) -> float:
        """Returns the hours of the group's phase, times its share of the country's subscribers."""
        return self.hours[group.phase] * self.people[group.operator, group.region]

    def service_hours(self) -> dict[str, tuple[float, float]]:
        """Returns for each service the hours without it, times the share of all subscribers affected, and the share of
        all subscribers' time in which it was measured, 0 to 1. Time in which it wasn't measured counts as no loss.
        """
        lost, measured = dict.fromkeys(self.services, 0.0), dict.fromkeys(self.services, 0.0)
        whole = sum(map(self.hours_of, self.shares))
        for group, shares in self.shares.items():
            for service, share in shares.items():
                if share.measured:
                    lost[service] += self.hours_of(group) * _lost(share)
                    measured[service] += self.hours_of(group)
        return {name: (lost[name], measured[name] / whole if whole else 0.0) for name in self.services}


def _lost(share: Share) -> float:
    return 1 - (share.reached - SLOW * share.slow) / share.measured


def losses_of(scenario: Scenario, results: Iterable[Result]) -> Losses:
    """Computes the losses of ordinary subscribers from the results of a scenario, over the measured phases."""
    shares: dict[Group, dict[str, Share]] = {}
    weights: dict[tuple[str, str], dict[str, float]] = {}
    for result in results:
        if result.region and result.weight:
            group = Group(result.operator, result.region, result.phase)
            shares.setdefault(group, {}).setdefault(result.column or result.target, Share()).add(result)
            weights.setdefault((result.operator, result.region), {})[result.subscriber] = result.weight
    totals = {place: sum(of.values()) for place, of in weights.items()}
    whole = sum(totals.values())
    measured = {group.phase for group in shares}
    ends: Sequence[datetime] = [phase.at for phase in scenario.timeline[1:]] + [scenario.ends]
    spans = {
        phase.phase: (end - phase.at).total_seconds() / 3_600
        for phase, end in zip(scenario.timeline, ends, strict=True)
        if phase.phase in measured
    }
    begins = {phase.phase: phase.at for phase in scenario.timeline if phase.phase in measured}
    return Losses(spans, begins, {place: total / whole for place, total in totals.items()}, shares)
