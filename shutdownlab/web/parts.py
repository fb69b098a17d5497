"""The parts of the live page: the report's own, made anew from what is known so far. Pure."""

from __future__ import annotations

from typing import Any, Final

from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.document import SECTIONS, parts, top
from shutdownlab.reporting.page.embedded import embedded
from shutdownlab.reporting.page.markup import html
from shutdownlab.reporting.page.orders import Order
from shutdownlab.reporting.page.whys import Whys

VIEW: Final = "view/"
_DATA: Final = f"{VIEW}data/"


def view_of(account: RunAccount, told: RunAccount, orders: tuple[Order, ...], whys: Whys) -> dict[str, Any]:
    """The parts by name: `view/top` and `view/SECTION` are HTML, `view/data/…` what the page's script draws from.

    told: what the headline tells, which is of whole phases. What a cell opens on is not among them: it is asked for.
    """
    shown: dict[str, Any] = {f"{VIEW}top": str(top(told))}
    contents = parts(account, orders, whys) if account.spans else {name: () for name, _ in SECTIONS}
    shown |= {f"{VIEW}{name}": str(html(content)) for name, content in contents.items()}
    data = embedded(account, orders, whys, {})
    cells = data.pop("cells")
    shown |= {f"{_DATA}{name}": value for name, value in data.items()}
    shown |= {f"{_DATA}cells/{place}": of_phase for place, of_phase in enumerate(cells)}
    return shown
