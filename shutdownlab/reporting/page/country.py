"""The regions on a map and as tiles, and the drawing of the network; the script colours them by phase. Pure."""

from __future__ import annotations

from shutdownlab.model.faults import Damage, damage_of
from shutdownlab.reporting.graph import draw
from shutdownlab.reporting.page.account import RunAccount, column_of
from shutdownlab.reporting.page.map import CountryMap, map_of
from shutdownlab.reporting.page.markup import Html, element, html, scrolling
from shutdownlab.reporting.page.tables import level
from shutdownlab.reporting.page.tiles import Place, TileGrid
from shutdownlab.reporting.page.words import listed
from shutdownlab.results.table import Share, percent
from shutdownlab.verifier.verdicts import Verifier

ALL = ""
"""Stands for all operators."""
MAP_SOURCE = (
    "Outlines: Natural Earth (public domain), first-level regions of before 2017, simplified. What is too small to be "
    "seen, or lies within another outline, is marked with a disc."
)
_SCALE = (
    ("pg-l0", "nobody"), ("pg-l1", "up to 25%"), ("pg-l2", "up to 50%"), ("pg-l3", "up to 75%"),
    ("pg-l4", "less than all"), ("pg-l5", "everybody"),
)  # fmt: skip


def where(account: RunAccount) -> Html:
    """Returns the regions in the worst phase, for all operators together and for each: a tile with its share for each
    region, and a map if there is one (see `map_of`)."""
    if not account.regions or not account.spans:
        return Html("")
    every = account.common == account.services
    options = [element("option", f"{'all' if every else 'those measured everywhere'}, on average", value="")]
    options += [element("option", column, value=column) for column in account.services]
    chosen = element("label", "Services: ", element("select", options, id_="pg-service"))
    phase = element("p", "Phase: ", element("b", account.spans[account.worst].name, id_="pg-map-phase"))
    drawn = map_of(account)
    grid = TileGrid(_places(account)) if drawn is None else None
    panels = [_panel(account, drawn, grid, ALL, "All operators")]
    if len(account.operators) > 1:
        panels += [_panel(account, drawn, grid, name, title) for name, title in account.operators.items()]
    loose = drawn.missing(account.regions) if drawn is not None else []
    parts = [element("p", chosen), phase, _scale(drawn.land(account.regions) if drawn is not None else "")]
    if drawn is not None:
        parts.append(drawn.definitions())
    parts.append(element("div", panels, class_="pg-panels"))
    about = _why_tiles(account, grid) if grid is not None else MAP_SOURCE
    if loose:
        about += f" Not on the map, as the topology names no outlines of it: {listed(loose)}; see the tiles."
    parts.append(element("p", about, class_="pg-soft pg-small"))
    return html(parts)


def _places(account: RunAccount) -> dict[str, Place | None]:
    """Returns the regions' coordinates; None for those that do not lie in one place."""
    known = account.shutdown.topology.regions if account.shutdown is not None else {}
    return {name: known[name].place if name in known else None for name in account.regions}


def _why_tiles(account: RunAccount, grid: TileGrid) -> str:
    """Returns why there is no map, and how the tiles are arranged."""
    if account.shutdown is None:
        return f"Tiles and no map: {account.missing}."
    why = "Tiles and no map: for the regions of this country, as its topology has them, there are no outlines."
    if len(grid.loose) == len(grid.at):
        return f"{why} Nor does it say where they lie: the tiles stand in its order."
    loose = listed([account.regions[name] for name in grid.loose])
    rest = f" Below them, in no one place: {loose}." if loose else ""
    return f"{why} The tiles stand as the regions lie, north up and west to the left.{rest}"


def _scale(land: str) -> Html:
    """Returns the legend of the shares' colours. land: what land without a colour is; "" if there is no map."""
    shown = [*_SCALE, ("pg-land", land)] if land else _SCALE
    items = (element("li", element("span", class_=f"pg-swatch {class_}"), " ", text) for class_, text in shown)
    return element("ul", items, class_="pg-legend")


def _panel(account: RunAccount, drawn: CountryMap | None, grid: TileGrid | None, operator: str, title: str) -> Html:
    there = account.regions if operator == ALL else account.served.get(operator, set())
    regions = {name: shown for name, shown in account.regions.items() if name in there}
    if not regions:
        return Html("")

    def share(region: str) -> tuple[str, str]:
        found = mean_share(account, account.spans[account.worst].name, operator, region)
        return level(found), "not measured" if found is None else f"{percent(found)}%"

    parts = [element("h3", title)]
    if drawn is not None:
        label = f"Map for {title}: regions by the share of subscribers who got through, as in the list after it"
        parts.append(drawn.panel(operator, label, share, named=operator == ALL))
    items = [_tile(account, operator, name, shown, grid) for name, shown in regions.items()]
    style = f"--across: {grid.across}" if grid is not None else None
    parts.append(element("ul", items, class_="pg-tiles", style=style))
    return element("section", parts, class_="pg-wide" if operator == ALL and drawn is not None else None)


def _tile(account: RunAccount, operator: str, region: str, title: str, grid: TileGrid | None) -> Html:
    share = mean_share(account, account.spans[account.worst].name, operator, region)
    shown = "·" if share is None else f"{percent(share)}%"
    row, column = grid.at[region] if grid is not None else (0, 0)
    return element(
        "li", element("span", title), element("b", shown), class_=level(share), data_operator=operator,
        data_region=region, style=f"grid-row: {row}; grid-column: {column}" if row else None,
    )  # fmt: skip


def mean_share(account: RunAccount, phase: str, operator: str, region: str) -> float | None:
    """Returns the share of subscribers who got through, averaged over the services by which regions can be compared
    (`RunAccount.common`); None if none was measured. operator: a name, or `ALL`."""
    shares: dict[str, Share] = {}
    for result in account.of(phase):
        if result.region == region and operator in {ALL, result.operator} and column_of(result) in account.common:
            shares.setdefault(column_of(result), Share()).add(result)
    found = [share.fraction for share in shares.values() if share.fraction is not None]
    return sum(found) / len(found) if found else None


def network(account: RunAccount) -> Html:
    """Returns the drawing of the topology, in which the script marks what stops packets; a note if the scenario is
    missing."""
    if account.shutdown is None:
        return element("p", f"No drawing: {account.missing}.")
    return scrolling("The network", Html(_labelled(draw(account.shutdown.network))))


def drawings(account: RunAccount) -> tuple[list[str], list[int]]:
    """Returns the distinct drawings of the topology, with each phase's damage and changed routes, and each phase's
    index among them; both empty if nothing is ever damaged or changed."""
    if account.shutdown is None:
        return [], []
    shutdown, found, shown = account.shutdown, dict[str, int](), list[int]()
    verifier = Verifier(shutdown, dict(account.manifest.get("choices", {})))
    drawn: dict[Damage, str] = {}
    for span in account.spans:
        phase = shutdown.scenario.phase(span.name)
        damage = damage_of(shutdown.network, verifier.broken(phase).values()) | verifier.withdrawn(phase)
        if damage not in drawn:
            drawn[damage] = _labelled(draw(shutdown.network, damage))
        shown.append(found.setdefault(drawn[damage], len(found)))
    return (list(found), shown) if any(drawn) else ([], [])


def _labelled(drawing: str) -> str:
    return drawing.replace("<svg ", '<svg role="img" aria-label="The network" ', 1)
