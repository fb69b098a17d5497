"""The cost of a shutdown: GDP, times the Internet's share of it, times the hours lost, by three methods. Pure.

- `cost`: as NetBlocks' Cost of Shutdown Tool, by the method of the Brookings Institution (D. West, 2016): while a
  region is cut off, the whole Internet economy there is lost; otherwise nothing.
- `report`: as Top10VPN's yearly reports, which apply that tool's rate to the duration reported in the news, for
  everyone affected: from when half of the subscribers were first cut off (or, if that never happened, the first of
  them) until the last were reconnected. Pauses count.
- `graded`: our own. The loss in a phase is the share of measured services that did not get through, and half of those
  that were slow; partial blocks count, pauses do not.

NetBlocks and Top10VPN don't publish their formulas in full: these are their documented steps. Ranges are the 5th to
95th percentile over random draws of the parameters, each from a triangular distribution between its least and its
most. For `graded`, the weights of the services are drawn too, since they are unknown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from shutdownlab.costing.losses import Group, Losses
from shutdownlab.model.economy import Economy, Estimate, Published

Method = Literal["cost", "report", "graded"]
_HOURS_OF_A_YEAR: Final = 365 * 24
_DRAWS: Final = 4_000
_LARGE: Final = 0.5
"""Share of subscribers that must be cut off for the news to report a country's shutdown; assumed."""
_GDP_UNIT: Final = 1e9
_MILLION: Final = 1e6


@dataclass(frozen=True, slots=True)
class Amount:
    """The estimate by one method and its range, in US dollars. hours: hours lost by the country as a whole."""

    low: float
    value: float
    high: float
    hours: float


@dataclass(frozen=True)
class Cost:
    """The cost of a shutdown. by_operator, by_region, by_phase: parts of the amount by each method, in US dollars.

    person_hours: by service, total hours that people were without it; None if the number of users isn't known.
    measured: by service, the share of all subscribers' time in which it was measured, 0 to 1.
    published: estimates published by others.
    """

    title: str
    amounts: Mapping[Method, Amount]
    by_operator: Mapping[str, Mapping[Method, float]]
    by_region: Mapping[str, Mapping[Method, float]]
    by_phase: Mapping[str, Mapping[Method, float]]
    person_hours: Mapping[str, float] | None
    measured: Mapping[str, float]
    published: tuple[Published, ...]
    economy: Economy
    seed: int

    def __repr__(self) -> str:
        least, most = self.range
        return f"Cost({self.title}: {least / 1e6:,.1f} to {most / 1e6:,.1f} million US dollars)"

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and highest amount of all methods, in US dollars."""
        return min(a.low for a in self.amounts.values()), max(a.high for a in self.amounts.values())


def cost_of(title: str, economy: Economy, published: tuple[Published, ...], losses: Losses, seed: int) -> Cost:
    """Estimates the cost of a shutdown. `economy` must have a GDP and an Internet share. seed: for the random draws."""
    assert economy.gdp is not None and economy.internet_share is not None
    rate = economy.gdp.value * _GDP_UNIT / _HOURS_OF_A_YEAR * economy.internet_share.value
    parts: dict[Method, dict[Group, float]] = {
        "cost": {group: losses.hours_of(group) * losses.cut_off(group) for group in losses.shares},
        "report": dict(_reported(losses)),
        "graded": {group: losses.hours_of(group) * losses.lost(group) for group in losses.shares},
    }
    draw = random.Random(seed)
    rates = [_drawn(draw, economy.gdp) * _drawn(draw, economy.internet_share) for _ in range(_DRAWS)]
    by_service = _by_service(losses)
    graded = [rate * sum(map(float.__mul__, by_service, _weights(draw, len(by_service)))) for rate in rates]
    amounts: dict[Method, Amount] = {}
    for method, found in parts.items():
        hours = sum(found.values())
        drawn = graded if method == "graded" else [each * hours for each in rates]
        low, high = _range([each * _GDP_UNIT / _HOURS_OF_A_YEAR for each in drawn])
        amounts[method] = Amount(min(low, rate * hours), rate * hours, max(high, rate * hours), hours)

    def by(part: Callable[[Group], str]) -> dict[str, dict[Method, float]]:
        sums: dict[str, dict[Method, float]] = {}
        for method, found in parts.items():
            for group, hours in found.items():
                row = sums.setdefault(part(group), dict.fromkeys(parts, 0.0))
                row[method] += rate * hours
        return sums

    users = economy.users
    services = losses.service_hours()
    people = None if users is None else {s: h * users.value * _MILLION for s, (h, _) in services.items()}
    return Cost(
        title, amounts, by(lambda group: group.operator), by(lambda group: group.region), by(lambda group: group.phase),
        people, {service: share for service, (_, share) in services.items()}, published, economy, seed,
    )  # fmt: skip


def _reported(losses: Losses) -> Iterator[tuple[Group, float]]:
    """Yields the hours lost by `report`: for each place that was ever cut off, all phases of the whole shutdown."""
    cut = {group for group in losses.shares if losses.cut_off(group)}
    if not cut:
        return
    people = dict.fromkeys(losses.hours, 0.0)
    for group in cut:
        people[group.phase] += losses.people[group.operator, group.region]
    large = [phase for phase, share in people.items() if share >= _LARGE]
    first = min(losses.begins[phase] for phase in large or {group.phase for group in cut})
    last = max(losses.begins[group.phase] + timedelta(hours=losses.hours[group.phase]) for group in cut)
    places = {(group.operator, group.region) for group in cut}
    for group in losses.shares:
        if (group.operator, group.region) in places and first <= losses.begins[group.phase] < last:
            yield group, losses.hours_of(group)


def _by_service(losses: Losses) -> list[float]:
    """Returns for each service the country's hours without it, extrapolated from where and when it was measured."""
    return [lost / share if share else 0.0 for lost, share in losses.service_hours().values()]


def _weights(draw: random.Random, count: int) -> list[float]:
    """Draws weights that add up to 1, from a flat Dirichlet distribution."""
    drawn = [draw.expovariate(1.0) for _ in range(count)]
    whole = sum(drawn)
    return [each / whole for each in drawn]


def _drawn(draw: random.Random, estimate: Estimate) -> float:
    if estimate.least == estimate.most:
        return estimate.value
    return draw.triangular(estimate.least, estimate.most, estimate.value)


def _range(drawn: list[float]) -> tuple[float, float]:
    ordered = sorted(drawn)
    return ordered[int(0.05 * len(ordered))], ordered[int(0.95 * len(ordered))]
