"""The table of a run on terminals of any width."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from shutdownlab.reporting.table import legend, legible, tables
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


SERVICES = ("WhatsApp", "Telegram", "Signal", *(f"service {number}" for number in range(12)), "port holes", "speed")


def seventeen_columns() -> Table:
    """All works in the first phase but WhatsApp, slowly and against what is expected; nothing but the port holes in the
    second, in which speed is not measured."""
    shares = {("mobile-throttled", column): Share(measured=8, reached=8) for column in SERVICES}
    shares["mobile-throttled", "WhatsApp"] = Share(measured=8, reached=2, slow=1, unmet=True)
    shares |= {("blackout", column): Share(measured=8) for column in SERVICES[:-1]}
    shares["blackout", "port holes"] = Share(measured=8, reached=8)
    return Table(PHASES, SERVICES, shares)


def test_a_table_of_many_blocks_is_put_in_words_with_equal_shares_together() -> None:
    output = StringIO()
    console = Console(file=output, width=80)
    parts = legible(seventeen_columns(), 80)
    for part in parts:
        console.print(part)
    assert len(parts) == 1
    rows = [" ".join(line.split()) for line in output.getvalue().splitlines()]
    assert "04 Jan 16:00 mobile-throttled WhatsApp 25~!; all else 100" in rows
    assert "05 Jan 10:00 blackout port holes 100; all else 0" in rows
    assert max(map(len, output.getvalue().splitlines())) <= 80


SHORT = {name: f"s{name.rpartition(' ')[2]}" for name in SERVICES if name.startswith("service")}
SHORT |= {"WhatsApp": "WA", "Telegram": "TG", "Signal": "Sig", "port holes": "hole", "speed": "rate"}


def in_short(width: int, short: dict[str, str] = SHORT) -> str:
    """What a terminal of this width shows of a table whose columns have short names."""
    table = replace(seventeen_columns(), short=short)
    output = StringIO()
    console = Console(file=output, width=width)
    for part in legible(table, width):
        console.print(part)
    return output.getvalue()


@pytest.mark.parametrize("width", [30, 40, 59, 80])
def test_a_narrow_terminal_shows_columns_by_their_short_names_uncut_and_tells_what_they_are(width: int) -> None:
    text = in_short(width)
    words = text.split()
    for column, short in SHORT.items():
        assert words.count(short) == 1, f"the heading {short}"
        assert f"{short}: {column}" in text, "whole, on one line"
    assert text.count("100") == len(SERVICES) - 1 + 1
    assert (words.count("25~!"), words.count("·")) == (1, 1)
    assert words.count("mobile-throttled") == words.count("phase"), "nor are the names of phases"
    assert max(map(len, text.splitlines())) <= width


def test_short_names_are_for_narrow_terminals_only() -> None:
    assert "WhatsApp Telegram" in in_short(120)
    assert "WA" not in in_short(120)


def test_a_column_without_a_short_name_keeps_its_own() -> None:
    text = in_short(40, {"WhatsApp": "WA"})
    assert " WA" in text and "WA: WhatsApp" in text
    assert "Telegram" in text and "holes" in text


def test_where_two_blocks_hold_it_the_table_is_in_columns() -> None:
    assert len(legible(seventeen_columns(), 120)) == 2
    assert len(legible(seventeen_columns(), 200)) == 1


def test_what_the_signs_mean_is_reported_within_the_width_and_no_sign_is_broken() -> None:
    signs = ("~ some of it throttled", "! an expectation is not met", "? some undecided", "· not measured")
    assert legend(signs, 110) == "   ".join(signs)
    assert legend(signs, 80).splitlines() == ["   ".join(signs[:3]), signs[3]]
    assert legend(signs, 20).splitlines() == list(signs)


def test_the_heading_above_phases_of_short_names_is_whole() -> None:
    phases = (("no", PHASES[0][1]), ("1e3", PHASES[0][1]))
    table = Table(phases, SERVICES[:2], {(name, column): Share() for name, _ in phases for column in SERVICES[:2]})
    output = StringIO()
    for part in legible(table, 80):
        Console(file=output, width=80).print(part)
    assert "UTC          phase " in output.getvalue()
