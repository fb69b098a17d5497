"""Formats figures as a Markdown table: description, unit, median, range, number of runs, target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `values`: one per run (at least one), in `unit`; `target`: the target, in words."""

    what: str
    unit: str
    values: Sequence[float]
    target: str = ""


def number(value: float) -> str:
    """Formats a number with thousands separators; no decimals if whole or from 100, one from 10, otherwise two."""
    magnitude = abs(value)
    if magnitude >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"


def load() -> str:
    """Returns the machine's load average of the last minute, and its number of cores."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def engine() -> str:
    """Returns a sentence that states whether the measured inspection engine is compiled."""
    spec = find_spec("shutdownlab.inspection.engine")
    compiled = spec is not None and not (spec.origin or "").endswith(".py")
    return "The inspection engine is compiled." if compiled else "The inspection engine is not compiled."


def markdown(title: str, figures: Iterable[Figure], notes: str = "") -> str:
    """Returns the table, with its title and notes (such as the load at the time)."""
    lines = [f"### {title}", "", "| what | figure | median | min–max | runs | target |", "|---|---|---:|---:|---:|---|"]  # noqa: RUF001
    for figure in figures:
        values = figure.values
        spread = f"{number(min(values))}–{number(max(values))}" if len(values) > 1 else ""  # noqa: RUF001
        middle = number(median(values))
        lines.append(f"| {figure.what} | {figure.unit} | {middle} | {spread} | {len(values)} | {figure.target} |")
    return "\n".join([*lines, "", *([notes, ""] if notes else [])])
