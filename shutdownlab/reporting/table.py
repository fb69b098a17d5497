"""The table of a run on a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from shutdownlab.config.wording import on_one_line
from shutdownlab.results.table import Share, Table

_COLOURS = ((0.995, "green"), (0.5, "yellow"), (0.005, "dark_orange"), (0.0, "red"))
_CELL = 6
_PHASE = 24
_LEAST_PHASE = 4
_TIME = 12
_MOST_PARTS = 2
_LEAST_WORDS = 60
"""Columns that a sentence beside time and phase needs."""


def tables(table: Table, width: int) -> Iterator[RichTable]:
    """As many tables, side by side in content, as a terminal of `width` columns needs.

    No figure is cut: a narrow terminal gets fewer of them a table, names of phases cut short, and then no times.
    """
    widest = max((_width(column) for column in table.columns), default=_CELL)
    with_times = width >= _TIME + 1 + _LEAST_PHASE + 1 + widest + 1
    room = width - (_TIME + 1 if with_times else 0)
    longest = max((cell_len(on_one_line(name)) for name, _ in table.phases), default=_LEAST_PHASE)
    phase = max(_LEAST_PHASE, min(_PHASE, longest, room - 1 - widest - 1))
    columns: list[str] = []
    left = room - phase - 1
    for column in table.columns:
        if columns and left < _width(column) + 1:
            yield _part(table, columns, phase, with_times=with_times)
            columns, left = [], room - phase - 1
        columns.append(column)
        left -= _width(column) + 1
    if columns:
        yield _part(table, columns, phase, with_times=with_times)


def legible(table: Table, width: int) -> list[RichTable]:
    """The table in columns or, where that takes more parts than a reader keeps before his eyes, in words."""
    parts = list(tables(table, width))
    return parts if len(parts) <= _MOST_PARTS or width < _LEAST_WORDS else [_in_words(table, width)]


def _in_words(table: Table, width: int) -> RichTable:
    """Of each phase, how many got through to what; what is alike together."""
    part = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", width=width)
    part.add_column("UTC", style="dim", no_wrap=True, min_width=_TIME)
    longest = max((cell_len(on_one_line(name)) for name, _ in table.phases), default=_LEAST_PHASE)
    part.add_column("phase", no_wrap=True, overflow="ellipsis", max_width=min(_PHASE, longest))
    heading = f"percent who got through (a column each: in a terminal of {_whole_width(table)})"
    part.add_column(heading, ratio=1)
    for name, at in table.phases:
        part.add_row(f"{at:%d %b %H:%M}", Text(on_one_line(name)), _said(table, name))
    return part


def _said(table: Table, phase: str) -> Text:
    """The columns of a phase by what became of them: the best first, what most have at the end."""
    alike: dict[str, list[str]] = {}
    for column in table.columns:
        share = table[phase, column]
        if str(share) != "·":
            alike.setdefault(str(share), []).append(column)
    order = sorted(alike, key=lambda shown: -(table[phase, alike[shown][0]].fraction or 0.0))
    most = max(order, key=lambda shown: len(alike[shown]), default="")
    said = Text()
    for shown in [*(each for each in order if each != most), *([most] if most else [])]:
        rest = "all" if len(alike) == 1 else "all else"
        names = rest if shown == most and len(alike[most]) > 2 else ", ".join(map(on_one_line, alike[shown]))
        said.append(f"{names} ")
        said.append_text(_text(table[phase, alike[shown][0]]))
        said.append("; ")
    said.right_crop(2)
    return said


def _whole_width(table: Table) -> int:
    """Columns of a terminal that show the table in one piece."""
    longest = max((cell_len(on_one_line(name)) for name, _ in table.phases), default=_LEAST_PHASE)
    return _TIME + 1 + min(_PHASE, longest) + 1 + sum(_width(column) + 1 for column in table.columns)


def _width(column: str) -> int:
    return max([_CELL, *(cell_len(on_one_line(word)) for word in column.split())])


def _part(table: Table, columns: Sequence[str], phase: int, *, with_times: bool) -> RichTable:
    part = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", title_justify="left")
    if with_times:
        part.add_column("UTC", style="dim", no_wrap=True, min_width=_TIME)
    part.add_column("phase", no_wrap=True, overflow="ellipsis", min_width=phase, max_width=phase)
    for column in columns:
        heading = Text("\n".join(map(on_one_line, column.split())))
        part.add_column(heading, justify="right", no_wrap=True, min_width=_width(column))
    for name, at in table.phases:
        time = [f"{at:%d %b %H:%M}"] if with_times else []
        part.add_row(*time, Text(on_one_line(name)), *(_text(table[name, column]) for column in columns))
    return part


def _text(share: Share) -> Text:
    """A cell, readable without colour."""
    if share.fraction is None:
        return Text(str(share), style="red" if share.unmet else "dim")
    colour = "yellow" if share.slow else next(colour for least, colour in _COLOURS if share.fraction >= least)
    return Text(str(share), style=f"bold {colour} reverse" if share.unmet else colour)
