"""The table of a run on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table as RichTable
from rich.text import Text

from shutdownlab.config.wording import on_one_line
from shutdownlab.results.table import Share, Table

_COLOURS = ((0.995, "green"), (0.5, "yellow"), (0.005, "dark_orange"), (0.0, "red"))
_CELL = 6
_PHASE = 24


def tables(table: Table, width: int) -> Iterator[RichTable]:
    """As many tables, side by side in content, as a terminal of `width` columns needs."""
    fit = max(4, (width - _PHASE - 14) // (_CELL + 1))
    for start in range(0, len(table.columns), fit):
        yield _part(table, table.columns[start : start + fit])


def _part(table: Table, columns: Sequence[str]) -> RichTable:
    part = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    part.add_column("UTC", style="dim", no_wrap=True)
    part.add_column("phase", no_wrap=True, overflow="ellipsis", max_width=_PHASE)
    for column in columns:
        part.add_column(
            Text("\n".join(map(on_one_line, column.split()))), justify="right", no_wrap=True, min_width=_CELL
        )
    for name, at in table.phases:
        part.add_row(f"{at:%d %b %H:%M}", Text(on_one_line(name)), *(_text(table[name, column]) for column in columns))
    return part


def _text(share: Share) -> Text:
    """A cell, readable without colour."""
    if share.fraction is None:
        return Text(str(share), style="red" if share.unmet else "dim")
    colour = "yellow" if share.slow else next(colour for least, colour in _COLOURS if share.fraction >= least)
    return Text(str(share), style=f"bold {colour} reverse" if share.unmet else colour)
