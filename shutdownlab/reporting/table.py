"""Formats the table of a run for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from shutdownlab.config.wording import on_one_line
from shutdownlab.results.table import Share, Table

_COLOURS = ((0.995, "green"), (0.5, "yellow"), (0.005, "dark_orange"), (0.0, "red"))
_CELL = 6
_FIGURE = 3
_PHASE = 24
_LEAST_PHASE = 4
_TIME = 12
_MOST_PARTS = 2
_LEAST_WORDS = 60
"""The least terminal width, in columns, for sentences beside times and phases."""


def tables(table: Table, width: int, *, short: bool = False) -> Iterator[RichTable]:
    """Splits a table by columns into as many tables as a terminal `width` columns wide needs.

    Figures are never cut: on a narrow terminal each table has fewer columns, phase names are shortened, and finally
    times are left out. short: use the short headings, explained below the table, in columns as narrow as possible.
    """
    widths = {column: _width(table, column, short=short) for column in table.columns}
    widest = max(widths.values(), default=_CELL)
    with_times = width >= (_LEAST_WORDS if short else _TIME + 1 + _LEAST_PHASE + 1 + widest + 1)
    room = width - (_TIME + 1 if with_times else 0)
    longest = _longest_phase(table)
    phase = max(_LEAST_PHASE, min(_PHASE, longest, room - 1 - widest - 1))
    parts: list[list[str]] = []
    left = 0
    for column in table.columns:
        if not parts or left < widths[column] + 1:
            parts.append([])
            left = room - phase - 1
        parts[-1].append(column)
        left -= widths[column] + 1
    for columns in parts:
        yield _part(table, {column: widths[column] for column in columns}, phase, with_times=with_times, short=short)


def legend(signs: Sequence[str], width: int) -> str:
    """Joins the meanings of a table's signs into lines of at most `width` columns."""
    lines = [""]
    for sign in signs:
        if lines[-1] and len(lines[-1]) + 3 + len(sign) > width:
            lines.append("")
        lines[-1] += f"   {sign}" if lines[-1] else sign
    return "\n".join(lines)


def legible(table: Table, width: int) -> list[RichTable]:
    """Returns the table in columns: with short headings if the long ones would need more than two parts, and in words
    if the short ones would, too, unless the terminal is too narrow for sentences."""
    parts = list(tables(table, width))
    if len(parts) > _MOST_PARTS:
        parts = list(tables(table, width, short=True))
    return parts if len(parts) <= _MOST_PARTS or width < _LEAST_WORDS else [_in_words(table, width)]


def _in_words(table: Table, width: int) -> RichTable:
    """Returns the table in words: for each phase, the services grouped by the share that got through."""
    part = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", width=width)
    part.add_column("UTC", style="dim", no_wrap=True, min_width=_TIME)
    longest = _longest_phase(table)
    part.add_column("phase", no_wrap=True, overflow="ellipsis", max_width=min(_PHASE, longest))
    heading = f"percent who got through (a column each: in a terminal of {_whole_width(table)})"
    part.add_column(heading, ratio=1)
    for name, at in table.phases:
        part.add_row(f"{at:%d %b %H:%M}", Text(on_one_line(name)), _shares_line(table, name))
    return part


def _shares_line(table: Table, phase: str) -> Text:
    """Returns the columns of a phase grouped by share: highest first, but the share that most columns have last."""
    alike: dict[str, list[str]] = {}
    for column in table.columns:
        share = table[phase, column]
        if str(share) != "·":
            alike.setdefault(str(share), []).append(column)
    order = sorted(alike, key=lambda shown: -(table[phase, alike[shown][0]].fraction or 0.0))
    most = max(order, key=lambda shown: len(alike[shown]), default="")
    line = Text()
    for shown in [*(each for each in order if each != most), *([most] if most else [])]:
        rest = "all" if len(alike) == 1 else "all else"
        names = rest if shown == most and len(alike[most]) > 2 else ", ".join(map(on_one_line, alike[shown]))
        line.append(f"{names} ")
        line.append_text(_text(table[phase, alike[shown][0]]))
        line.append("; ")
    line.right_crop(2)
    return line


def _whole_width(table: Table) -> int:
    """Returns the terminal width, in columns, at which the table is in one piece."""
    longest = _longest_phase(table)
    return _TIME + 1 + min(_PHASE, longest) + 1 + sum(_width(table, column) + 1 for column in table.columns)


def _longest_phase(table: Table) -> int:
    return max(cell_len(on_one_line(name)) for name in ("phase", *(name for name, _ in table.phases)))


def _heading(table: Table, column: str, *, short: bool) -> list[str]:
    """Returns the words of a heading, which are printed one below the other."""
    return list(map(on_one_line, (table.short.get(column, column) if short else column).split()))


def _width(table: Table, column: str, *, short: bool = False) -> int:
    figures = max((len(str(table[name, column])) for name, _ in table.phases), default=_FIGURE)
    return max([max(_FIGURE, figures) if short else _CELL, *map(cell_len, _heading(table, column, short=short))])


def _part(table: Table, widths: Mapping[str, int], phase: int, *, with_times: bool, short: bool) -> RichTable:
    part = RichTable(box=None, padding=(0, 1, 0, 0), header_style="bold", title_justify="left", caption_justify="left")
    if with_times:
        part.add_column("UTC", style="dim", no_wrap=True, min_width=_TIME)
    part.add_column("phase", no_wrap=True, overflow="ellipsis", min_width=phase, max_width=phase)
    columns = list(widths)
    for column, width in widths.items():
        heading = Text("\n".join(_heading(table, column, short=short)))
        part.add_column(heading, justify="right", no_wrap=True, min_width=width)
    legend = [f"{table.short[column]}: {on_one_line(column)}" for column in columns if column in table.short and short]
    whole = phase + 1 + sum(width + 1 for width in widths.values()) + (_TIME + 1 if with_times else 0)
    part.caption = Text("\n".join(_lines(legend, whole)), style="dim", overflow="fold") if legend else None
    for name, at in table.phases:
        time = [f"{at:%d %b %H:%M}"] if with_times else []
        part.add_row(*time, Text(on_one_line(name)), *(_text(table[name, column]) for column in columns))
    return part


def _lines(items: Sequence[str], width: int) -> list[str]:
    """Joins items into lines of less than `width` columns, without breaking an item."""
    lines: list[str] = []
    for item in items:
        if lines and cell_len(lines[-1]) + 2 + cell_len(item) < width:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return lines


def _text(share: Share) -> Text:
    """Returns a cell, which is also readable without colour."""
    if share.fraction is None:
        return Text(str(share), style="red" if share.unmet else "dim")
    colour = "yellow" if share.slow else next(colour for least, colour in _COLOURS if share.fraction >= least)
    return Text(str(share), style=f"bold {colour} reverse" if share.unmet else colour)
