"""Formats a published series and the emulated one: a table for people, JSON for programs. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shutdownlab.reporting.literal import literal
from shutdownlab.signals.overlay import Overlay


def print_overlay(found: Overlay, console: Console) -> None:
    """Prints both means by phase, as percent of the quiet days before, and then how similar the two series are."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("UTC", no_wrap=True)
    table.add_column("phase", overflow="fold")
    for heading in ("published", "emulated", "apart"):
        table.add_column(heading, justify="right")
    for phase in found.phases:
        figures = (_percent(value) for value in (phase.published, phase.emulated, phase.error))
        table.add_row(f"{phase.at:%d %b %H:%M}", Text(phase.phase), *figures)
    of = f" of {found.series.of}" if found.series.of else ""
    console.print(f"\n[bold]{literal(found.column)} and the emulated {found.series.signal.title}{literal(of)}[/bold]")
    console.print(table)
    console.print(f"[dim]percent of the quiet days before; {found.values:,} values[/dim]")
    console.print(sum_of(found), soft_wrap=True)


def sum_of(found: Overlay) -> str:
    """Returns correlation, lag and error in a sentence."""
    apart = f"they are {_percent(found.error)} apart in the mean"
    if found.correlation is None or found.lag is None or found.best is None:
        return f"One of the two does not move, so there is no correlation; {apart}."
    late = f"{abs(found.lag)} min {'later' if found.lag > 0 else 'earlier'}"
    lag = f"best with the published one {late} ({found.best:.2f})" if found.lag else "best without a lag"
    return f"Correlation {found.correlation:.2f}, {lag}; {apart}."


def as_json(found: Overlay) -> str:
    """Serialises all figures. Shares are of the quiet days before; `lag_min` is in minutes."""
    phases = [asdict(phase) | {"at": f"{phase.at:%Y-%m-%dT%H:%MZ}"} for phase in found.phases]
    series = {key: getattr(found.series, key) for key in ("scope", "of", "family")}
    return json.dumps(
        {
            "signal": found.series.signal.name, **series, "column": found.column, "values": found.values,
            "correlation": found.correlation, "lag_min": found.lag, "best_correlation": found.best,
            "error": found.error, "phases": phases,
        },
        indent=2,
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "·" if share is None else f"{100 * share:.1f}"
