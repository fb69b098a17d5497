"""Formats which circumvention tools worked when: a table, JSON or Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from shutdownlab.reporting.literal import literal
from shutdownlab.reporting.summary import cited, unmet_lines
from shutdownlab.reporting.table import legend, legible
from shutdownlab.runner.matrix import Matrix

SIGNS = ("~ some of it throttled", "! an expectation was not met", "? some without a verdict", "· not measured")


def print_matrix(matrix: Matrix, console: Console) -> None:
    """Prints a table of phases and tools for each operator, what each tool cost, what was left out, and a summary."""
    console.print("\n[bold]Percent of ordinary subscribers for whom each tool worked[/bold], weighted by their number")
    for operator, title in matrix.operators.items():
        console.print(f"\n[bold]{literal(title)}[/bold]")
        for part in legible(matrix.table(operator), console.width):
            console.print(part)
    console.print(f"[dim]{legend(SIGNS, console.width)}[/dim]\n")
    console.print(_costs(matrix))
    lines = [f"[yellow]left out:[/yellow] {literal(f'{name}: {why}')}" for name, why in matrix.left_out.items()]
    lines += [f"[red]not as expected:[/red] {literal(line)}" for line in unmet_lines(matrix.unmet)]
    sources = matrix.run.manifest.get("sources", {})
    lines += [literal(f"    [{code}] {source}") for code, source in cited(sources, matrix.unmet)]
    lines.append(f"[{'red' if matrix.exit_code else 'green'}]{literal(sum_of(matrix))}[/]")
    for line in ["", *lines]:
        console.print(line, soft_wrap=True)


def _costs(matrix: Matrix) -> RichTable:
    """Returns the table of what each tool cost where it worked."""
    table = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("what it cost (medians)", no_wrap=True)
    for title in matrix.operators.values():
        table.add_column(title.split(" (")[0], justify="right")
    for tool, title in matrix.tools.items():
        cells = (_cost(matrix, tool, operator) for operator in matrix.operators)
        table.add_row(Text(tool if tool == title else f"{tool} ({title})"), *map(Text, cells))
    return table


def _cost(matrix: Matrix, tool: str, operator: str) -> str:
    cost = matrix.cost(tool, operator=operator)
    if cost.connect_ms is None:
        return "·"
    speed = "" if cost.kbits_per_second is None else f", {cost.kbits_per_second / 1000:.1f} Mbit/s"
    return f"{cost.connect_ms / 1000:.2f} s{speed}"


def sum_of(matrix: Matrix) -> str:
    """Returns how much was measured, and how many expectations were met, in one sentence."""
    results = matrix.results
    expected = [result for result in results if result.expected is not None]
    unknown = sum(not result.outcome.is_measured for result in results)
    text = f"{len(results):,} uses of {len(matrix.tools)} tool{'s' if len(matrix.tools) != 1 else ''}"
    if unknown:
        return f"{text}, {unknown:,} without a verdict; {len(matrix.unmet):,} not as expected."
    if matrix.unmet:
        return f"{text}, {len(matrix.unmet):,} not as expected."
    return f"{text}; all {len(expected):,} expectations met." if expected else f"{text}; no expectations."


def as_json(matrix: Matrix) -> str:
    """Serialises the matrix: `cells` (see `Matrix.cells`), `left_out` (reasons by tool), run directory and titles."""
    found = {
        "run": str(matrix.run.path),
        "tools": dict(matrix.tools),
        "phases": list(matrix.phases),
        "operators": dict(matrix.operators),
        "left_out": dict(matrix.left_out),
        "cells": list(matrix.cells()),
    }
    return json.dumps(found, indent=1, ensure_ascii=False)


def as_markdown(matrix: Matrix) -> str:
    """Returns Markdown: a table for each operator, one of costs, and what was left out."""
    lines = [f"**{sum_of(matrix)}** Percent of ordinary subscribers for whom each tool worked:"]
    for operator, title in matrix.operators.items():
        table = matrix.table(operator)
        lines += ["", f"### {_cell(title)}", "", *_rows(["phase", *matrix.tools])]
        for phase, _ in table.phases:
            lines.append(_row([phase, *(str(table[phase, tool]) for tool in matrix.tools)]))
    lines += ["", "### What it cost", "", *_rows(["tool", *matrix.operators.values()])]
    for tool, title in matrix.tools.items():
        costs = [_cost(matrix, tool, operator) for operator in matrix.operators]
        lines.append(_row([tool if tool == title else f"{tool} ({title})", *costs]))
    lines += ["", "   ".join(SIGNS)]
    lines += [f"- left out: {name}: {why}" for name, why in matrix.left_out.items()]
    lines += [f"- not as expected: {line}" for line in unmet_lines(matrix.unmet)]
    return "\n".join(lines)


def _rows(heading: list[str]) -> Iterator[str]:
    yield _row(heading)
    yield _row(["---", *["--:"] * (len(heading) - 1)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
