"""Estimates what a scenario's or a run's shutdown cost: `sl.cost` and `shutdownlab cost`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shutdownlab.config.document import did_you_mean, one_of
from shutdownlab.config.wording import quoted
from shutdownlab.costing.estimate import Amount, Cost, Method, cost_of
from shutdownlab.costing.losses import losses_of
from shutdownlab.library import Shutdown, load
from shutdownlab.model.economy import Economy, Estimate, Published
from shutdownlab.model.lookup import refuse
from shutdownlab.results.result import Result
from shutdownlab.results.run import Run
from shutdownlab.verifier.verify import verify

METHODS: Final[dict[Method, str]] = {
    "cost": "as NetBlocks' COST (Brookings): while cut off, all of it",
    "report": "as Top10VPN's reports: from the first cut to the last, pauses too",
    "graded": "by what was measured: the share of services that was lost",
}
PARAMETERS: Final = ("gdp", "internet_share", "users")
SEED: Final = 1
UNITS: Final = {"gdp": "thousand million $", "internet_share": "of GDP", "users": "million"}


def cost(
    scenario: str | Path | Mapping[str, Any] | Shutdown | Run,
    *,
    choose: Mapping[str, str] | None = None,
    seed: int = SEED,
    values: Mapping[str, float] | None = None,
) -> Cost:
    """Estimates what a shutdown cost, in US dollars, by three methods, each with its range, beside published figures.

    scenario: what `sl.load` takes, which is then verified, or a run directory, or a `Run`. choose: which account to
    follow where sources disagree; used only when a scenario is verified. seed: for the random draws behind the ranges.
    values: replace the file's `gdp` (billions of dollars a year), `internet_share` (of GDP, 0 to 1) and `users`
    (millions); they have no range. Raises `BadInput`, also if GDP or the Internet's share of it is unknown.
    """
    if isinstance(scenario, str | Path) and (Path(scenario) / "manifest.json").is_file():
        scenario = Run.open(scenario)
    results: Sequence[Result]
    if isinstance(scenario, Run):
        source = scenario.manifest.get("source")
        if not source:
            refuse("scenario", f"{scenario.path}, of a scenario that a program made", "a run of a scenario in a file")
        shutdown, results = load(source), scenario.results
        phases = {phase.phase for phase in shutdown.scenario.timeline}
        strange = next((result.phase for result in results if result.phase not in phases), None)
        if strange is not None:
            found = f"{scenario.path}, whose phase {quoted(strange)} is not in {source} any more"
            refuse("scenario", found, "a run of the scenario as it is", "run it again")
    else:
        shutdown = scenario if isinstance(scenario, Shutdown) else load(scenario)
        _known_economy(shutdown, values or {})  # a mistake in it is told before what takes seconds
        results = verify(shutdown, choose=choose).results
    if not results:
        refuse("scenario", "no measurements", "a run with at least one complete phase")
    return worked_out(shutdown, results, seed=seed, values=values)


def worked_out(
    shutdown: Shutdown, results: Sequence[Result], *, seed: int = SEED, values: Mapping[str, float] | None = None
) -> Cost:
    """Returns the cost of a scenario's results. seed, values: as for `cost`.

    Raises `BadInput` if GDP or the Internet's share of it is unknown, or if no ordinary subscribers were measured.
    """
    economy = _known_economy(shutdown, values or {})
    published: tuple[Published, ...] = shutdown.scenario.cost.published if shutdown.scenario.cost else ()
    losses = losses_of(shutdown.scenario, results)
    if not losses.shares:
        refuse("scenario", "no ordinary subscribers that were measured", "a scenario that probes from their lines")
    return cost_of(shutdown.scenario.title, economy, published, losses, seed)


def _known_economy(shutdown: Shutdown, values: Mapping[str, float]) -> Economy:
    """Returns the figures of the economy, as `economy_of`; raises `BadInput` also if one that is needed is unknown."""
    economy = economy_of(shutdown, values)
    missing = [key for key in ("gdp", "internet_share") if getattr(economy, key) is None]
    if missing:
        found = f"no {' and no '.join(missing)} in {shutdown.scenario.name}, nor in its topology"
        options = ", ".join(f"--set {key}=NUMBER ({UNITS[key]})" for key in missing)
        example = f"cost: {{{', '.join(f'{key}: {{value: …, source: …}}' for key in missing)}}}"
        refuse(
            "scenario",
            found,
            f"{'both' if len(missing) > 1 else 'it'}, under `cost:` in one of them",
            f"such as {example}; or {options}",
        )
    return economy


def economy_of(shutdown: Shutdown, values: Mapping[str, float]) -> Economy:
    """Returns the figures of the economy: from the user, else from the scenario, else from the topology.

    values: the user's, as for `cost`; raises `BadInput` for unknown or impossible ones.
    """
    found: dict[str, Estimate | None] = {}
    for key in PARAMETERS:
        stated = (getattr(each, key) for each in (shutdown.scenario.cost, shutdown.topology.cost) if each is not None)
        found[key] = next((estimate for estimate in stated if estimate is not None), None)
    for key, value in values.items():
        if key not in PARAMETERS:
            refuse("values", quoted(key), one_of(PARAMETERS), did_you_mean(key, PARAMETERS))
        is_share = key == "internet_share"
        if not 0 < value < math.inf or (is_share and value > 1):
            most = "and at most 1: a share" if is_share else "in"
            refuse("values", f"{key}={value:g}", f"more than 0, {most} {UNITS[key]}")
        found[key] = Estimate(value=value, source="the user")
    return Economy(**found)


def knows_its_cost(shutdown: Shutdown) -> bool:
    """Whether GDP and the Internet's share of it are known, which a cost is computed from."""
    economy = economy_of(shutdown, {})
    return economy.gdp is not None and economy.internet_share is not None


# -- in words ----------------------------------------------------------------------------------------------------------


def money(dollars: float) -> str:
    """Formats an amount to two or three significant figures: `$244 million`, `$1.2 billion`, `$40,000`."""
    if dollars >= 1e9:
        return f"${dollars / 1e9:.3g} billion"
    if dollars >= 1e6:
        return f"${dollars / 1e6:.0f} million" if dollars >= 1e7 else f"${dollars / 1e6:.1f} million"
    return f"${float(f'{dollars:.2g}'):,.0f}"


def span_of(low: float, high: float) -> str:
    """Formats a range: `$143 to 255 million` from ten million to under a billion, otherwise with each end in full."""
    if low >= 1e7 and high < 1e9:
        return f"${low / 1e6:.0f} to {high / 1e6:.0f} million"
    return f"{money(low)} to {money(high)}"


def published_text(found: Published) -> str:
    """Formats a published figure: `Top10VPN: $410 million for 144 h [TOP]`."""
    more = "more than " if found.at_least else ""
    hours = f" for {found.hours:g} h" if found.hours else ""
    return f"{found.by}: {more}{money(found.amount * 1e6)}{hours} [{found.source}]"


def lines_of(cost: Cost, operators: Mapping[str, str], regions: Mapping[str, str]) -> Iterator[str]:
    """Yields the lines to print. operators, regions: titles by name."""
    yield f"{cost.title}: what it cost"
    for method, amount in cost.amounts.items():
        yield f"  {_amount(amount):<42} {METHODS[method]}"
    if cost.published:
        yield "Published:"
        yield from (f"  {published_text(found)}" for found in cost.published)
    for heading, parts, titles in (
        ("By operator", cost.by_operator, operators), ("By region", cost.by_region, regions),
        ("By phase", cost.by_phase, {}),
    ):  # fmt: skip
        yield f"{heading}, graded:"
        for name, by_method in parts.items():
            if by_method["graded"] >= 1:
                yield f"  {titles.get(name, name):<40} {money(by_method['graded'])}"
    if cost.person_hours is not None:
        yield "Person-hours without, where and when it was measured:"
        for service, hours in sorted(cost.person_hours.items(), key=lambda each: -each[1]):
            shown = f"{hours / 1e6:,.0f} million" if hours >= 1e6 else f"{hours:,.0f}"
            yield f"  {service:<40} {shown:<14}{share_text(cost.measured[service])}".rstrip()
    yield "From:"
    for key in PARAMETERS:
        estimate = getattr(cost.economy, key)
        if estimate is not None:
            yield f"  {key}: {estimate_text(key, estimate)}"


def estimate_text(key: str, estimate: Estimate) -> str:
    """Formats an estimate with its range and source: `197.1 (190 to 197.2) thousand million $ [WB]`."""
    span = f" ({estimate.least:g} to {estimate.most:g})" if estimate.least != estimate.most else ""
    return f"{estimate.value:g}{span} {UNITS[key]} [{estimate.source}]"


def share_text(measured: float) -> str:
    """Formats how much of people's time a service was measured for: `known of 45% of people's time`; "" if all."""
    return "" if measured > 0.995 else f"known of {max(1, round(measured * 100))}% of people's time"


def _amount(amount: Amount) -> str:
    return f"{money(amount.value)} ({span_of(amount.low, amount.high)}), {amount.hours:.1f} h"


def as_json(cost: Cost) -> str:
    """Serialises the cost as one JSON object; amounts are in US dollars."""
    amounts = {m: {"low": a.low, "value": a.value, "high": a.high, "hours": a.hours} for m, a in cost.amounts.items()}
    parts = {"by_operator": cost.by_operator, "by_region": cost.by_region, "by_phase": cost.by_phase}
    published = [found.model_dump(mode="json") for found in cost.published]
    economy = cost.economy.model_dump(mode="json")
    people = {"person_hours": cost.person_hours, "measured": cost.measured}
    data = {"title": cost.title, "amounts": amounts, **parts, **people, "published": published, "economy": economy}
    return json.dumps(data | {"seed": cost.seed}, indent=2, default=dict)
