"""The cost of a shutdown on the page: a sentence, and a section with tables. Pure."""

from __future__ import annotations

from typing import Final

from shutdownlab.costing.estimate import Cost, Method
from shutdownlab.reporting.costs import (
    METHODS,
    PARAMETERS,
    estimate_text,
    knows_its_cost,
    money,
    published_text,
    share_text,
    span_of,
    worked_out,
)
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.markup import Html, element, html, table


def cost_of_run(account: RunAccount) -> Cost | None:
    """Returns the cost of a run's shutdown; None if GDP or the Internet's share of it is unknown, or if no ordinary
    subscriber was measured or lost anything."""
    if account.shutdown is None or not knows_its_cost(account.shutdown):
        return None
    if not any(result.region and result.weight for result in account.results):
        return None
    cost = worked_out(account.shutdown, account.results)
    return cost if any(amount.value for amount in cost.amounts.values()) else None


_NAMES: Final[dict[Method, str]] = {"cost": "COST", "report": "Report", "graded": "Graded"}


def cost_sentence(cost: Cost) -> str:
    """Returns a sentence with the cost and the published figures."""
    graded, low, high = cost.amounts["graded"].value, *cost.range
    published = sorted((found.amount * 1e6, found.at_least) for found in cost.published)
    others, more = "", ""
    if len(published) == 1:
        others = f"; the published figure is {'more than ' if published[0][1] else ''}{money(published[0][0])}"
    elif published:
        others = f"; published figures are {span_of(published[0][0], published[-1][0])}"
        more = " The highest of them is published as a lower bound." if published[-1][1] else ""
    return f"It cost about {money(graded)} ({span_of(low, high)}, depending on the method){others}.{more}"


def costing(account: RunAccount, cost: Cost) -> Html:
    """Returns the section."""
    rows = [
        [_NAMES[method], element("td", METHODS[method], class_="pg-word"), money(amount.value),
         span_of(amount.low, amount.high), f"{amount.hours:,.1f}"]
        for method, amount in cost.amounts.items()
    ]  # fmt: skip
    columns = ["Method", "How", "Cost", "Range", "Hours, whole country"]
    parts = [
        element("p", "GDP of an hour, times the Internet's share of it, times the hours that were lost, weighed by the "
                     "subscribers who lost them. The regions of the model stand for the country."),
        table("What it cost, by three methods", columns, rows, class_="pg-num"),
    ]  # fmt: skip
    if cost.published:
        parts.append(element("p", "Published: ", "; ".join(map(published_text, cost.published)), "."))
    for heading, found, titles in (
        ("operator", cost.by_operator, account.operators),
        ("region", cost.by_region, account.regions),
        ("phase", cost.by_phase, {}),
    ):
        rows = [
            [titles.get(name, name), *(money(amount) if amount >= 1 else "·" for amount in by_method.values())]
            for name, by_method in found.items()
            if any(amount >= 1 for amount in by_method.values())
        ]
        listing = table(f"By {heading}", [heading.capitalize(), *_NAMES.values()], rows, class_="pg-num")
        parts.append(element("details", element("summary", f"By {heading}"), listing))
    if cost.person_hours is not None:
        ordered = sorted(cost.person_hours.items(), key=lambda each: -each[1])
        rows = [
            [service, f"{hours / 1e6:,.0f}", share_text(cost.measured[service])]
            for service, hours in ordered
            if hours >= 5e5
        ]
        heading = "Millions of person-hours without a service, where and when it was measured"
        listing = table(heading, ["Service", "Million", "Known"], rows, class_="pg-num")
        parts.append(element("details", element("summary", "Who was without what for how long"), listing))
    known = [(key, getattr(cost.economy, key)) for key in PARAMETERS]
    estimates = (f"{key}: {estimate_text(key, each)}" for key, each in known if each is not None)
    parts.append(element("p", "From ", "; ".join(estimates), ".", class_="pg-soft pg-small"))
    return html(parts)
