"""Where: the regions as tiles, and the network as a drawing; the script colours both by phase. Pure."""

from __future__ import annotations

from shutdownlab.reporting.graph import draw
from shutdownlab.reporting.page.account import RunAccount, column_of
from shutdownlab.reporting.page.markup import Html, element, scrolling
from shutdownlab.reporting.page.tables import level
from shutdownlab.results.table import Share, percent

ALL = ""
"""For all operators, or all services."""


def tiles(account: RunAccount) -> Html:
    """A tile for each region, of all operators and of each; as it was in the worst phase."""
    if not account.regions or not account.spans:
        return Html("")
    every = account.common == account.services
    options = [element("option", f"{'all' if every else 'those measured everywhere'}, on average", value="")]
    options += [element("option", column, value=column) for column in account.services]
    chosen = element("label", "Services: ", element("select", options, id_="pg-service"))
    panels = [_panel(account, ALL, "All operators")]
    if len(account.operators) > 1:
        panels += [_panel(account, name, title) for name, title in account.operators.items()]
    return Html(element("p", chosen) + element("div", panels, class_="pg-panels"))


def _panel(account: RunAccount, operator: str, title: str) -> Html:
    there = {result.region for result in account.results if result.region and operator in {ALL, result.operator}}
    items = [_tile(account, operator, name, shown) for name, shown in account.regions.items() if name in there]
    if not items:
        return Html("")
    return element("section", element("h3", title), element("ul", items, class_="pg-tiles"))


def _tile(account: RunAccount, operator: str, region: str, title: str) -> Html:
    share = mean_share(account, account.spans[account.worst].name, operator, region)
    shown = "·" if share is None else f"{percent(share)}%"
    return element(
        "li", element("span", title), element("b", shown), class_=level(share), data_operator=operator,
        data_region=region,
    )  # fmt: skip


def mean_share(account: RunAccount, phase: str, operator: str, region: str) -> float | None:
    """Of the services that regions can be compared by, the mean share of subscribers who got through."""
    shares: dict[str, Share] = {}
    for result in account.of(phase):
        if result.region == region and operator in {ALL, result.operator} and column_of(result) in account.common:
            shares.setdefault(column_of(result), Share()).add(result)
    found = [share.fraction for share in shares.values() if share.fraction is not None]
    return sum(found) / len(found) if found else None


def network(account: RunAccount) -> Html:
    """The drawing of the topology, where the scenario is there; what stops packets is marked in it by phase."""
    if account.shutdown is None:
        return element("p", f"No drawing: {account.missing}.")
    drawing = draw(account.shutdown.network)
    return scrolling("The network", Html(drawing.replace("<svg ", '<svg role="img" aria-label="The network" ', 1)))
