"""The parts of the live page: those of the report, drawn from the results so far. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.costing import cost_of_run, costing
from shutdownlab.reporting.page.document import SECTIONS, parts, top
from shutdownlab.reporting.page.embedded import embedded
from shutdownlab.reporting.page.markup import element, html
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.outsiders import outsiders
from shutdownlab.reporting.page.whys import Whys

VIEW: Final = "view/"
_DATA: Final = f"{VIEW}data/"
_TRYING: Final = element(
    "p", element("span", "…", class_="pg-cell pg-unknown pg-trying"),
    " dashed: failing in its last try, which is being confirmed and is no verdict yet", class_="pg-small",
)  # fmt: skip


def view_of(
    account: RunAccount,
    complete: RunAccount,
    orders: tuple[Order, ...],
    whys: Whys,
    trying: Collection[tuple[str, str, str]] | None = None,
) -> dict[str, Any]:
    """Returns the parts by name: `view/top` and `view/SECTION` are HTML, `view/data/…` is data for the page's script.

    complete: the account for the headline, of complete phases only. trying: vantage point, target and family of the
    last phase's cells that failed once and are being confirmed; None if first tries are not reported. The details of a
    cell are not among the parts: the page requests them when it is opened.
    """
    cost = cost_of_run(complete) if not complete.is_steered else None  # its hours are those of whoever steers
    shown: dict[str, Any] = {f"{VIEW}top": str(top(complete, cost=cost))}
    contents: dict[str, tuple[str, ...]] = {name: () for name, _ in SECTIONS}
    if account.spans:
        contents |= parts(account, orders, whys)
    if account.watched:
        contents["outside"] = (outsiders(account),)
    if cost is not None:
        contents["cost"] = (costing(complete, cost),)
    shown |= {f"{VIEW}{name}": str(html(content)) for name, content in contents.items()}
    data = embedded(account, orders, whys, {})
    cells = data.pop("cells")
    shown |= {f"{_DATA}{name}": value for name, value in data.items()}
    shown |= {f"{_DATA}cells/{place}": of_phase for place, of_phase in enumerate(cells)}
    if trying is None:
        return shown
    if account.spans:
        shown[f"{VIEW}cells"] += str(_TRYING)
    rows = {"/".join(part for part in row[:3] if part): place for place, row in enumerate(data["rows"])}
    columns = {(target, family): place for place, (target, family, *_) in enumerate(data["columns"])}
    shown[f"{_DATA}trying"] = sorted([rows[vantage], columns[target, family]] for vantage, target, family in trying)
    return shown
