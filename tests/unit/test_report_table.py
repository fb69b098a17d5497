"""The table of a run on terminals of any width."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from shutdownlab.reporting.table import tables
from shutdownlab.results.table import Share, Table

COLUMNS = ("WhatsApp", "Telegram", "foreign web", "HTTP/3")
PHASES = (
    ("mobile-throttled", datetime(2022, 1, 4, 16, tzinfo=UTC)),
    ("blackout", datetime(2022, 1, 5, 10, tzinfo=UTC)),
)


def shown(width: int) -> str:
    """What a terminal of this width shows."""
    share = Share(measured=8, reached=8, slow=1, unmet=True)
    table = Table(PHASES, COLUMNS, {(name, column): share for name, _ in PHASES for column in COLUMNS})
    output = StringIO()
    console = Console(file=output, width=width)
    for part in tables(table, width):
        console.print(part)
    return output.getvalue()


@pytest.mark.parametrize("width", range(14, 130))
def test_no_figure_and_no_heading_is_cut(width: int) -> None:
    text = shown(width)
    assert text.count("100~!") == len(PHASES) * len(COLUMNS)
    assert all(text.count(word) == 1 for column in COLUMNS for word in column.split())
    assert max(map(len, text.splitlines())) <= width


def test_a_narrow_terminal_cuts_names_of_phases_and_then_leaves_out_times() -> None:
    assert "mobile-throttled" in shown(80)
    assert "04 Jan 16:00 mobi" in shown(40)
    assert "04 Jan" not in shown(20)
