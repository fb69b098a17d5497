"""Formats what `inspect`, `profiles` and `apps` print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from rich.console import RenderableType
from rich.table import Table

from shutdownlab.inspection.apps import App
from shutdownlab.inspection.offline import FlowRecord, Summary
from shutdownlab.inspection.profile import Profile
from shutdownlab.reporting.literal import literal

Format = Literal["table", "jsonl"]
_COLUMNS = ("src", "sport", "dst", "dport", "proto", "app", "protocol", "host", "verdict", "rule", "packet")
_NUMBERS = frozenset({"sport", "dport", "packet"})


def flow_lines(records: Iterable[FlowRecord]) -> Iterator[str]:
    """Yields a JSON object per flow."""
    return (json.dumps(record, separators=(",", ":")) for record in records)


def flow_table(records: Iterable[FlowRecord]) -> Iterator[str]:
    """Yields aligned columns, a line per flow after the headings; names are never shortened."""
    rows = [_COLUMNS, *(tuple(map(_text, _values(record))) for record in records)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    for row in rows:
        cells = (
            text.rjust(width) if name in _NUMBERS else text.ljust(width)
            for name, text, width in zip(_COLUMNS, row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _values(record: FlowRecord) -> Iterator[Any]:
    fields: Mapping[str, Any] = record
    return (fields[name] for name in _COLUMNS)


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def summary_line(summary: Summary) -> str:
    return f"{summary.packets:,} packets, {summary.flows:,} flows, {summary.packets_per_second:,.0f} packets/s"


def profile_list(profiles: Iterable[Profile]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for profile in profiles:
        table.add_row(f"[bold]{literal(profile.name)}[/bold]", profile.placement, literal(profile.title))
    return table


def app_list(apps: Mapping[str, App]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, app in apps.items():
        table.add_row(f"[bold]{literal(name)}[/bold]", literal(app.category), literal(app.title), _extent(app))
    return table


def _extent(app: App) -> str:
    kinds = ((app.suffixes, "domain"), (app.prefixes, "prefix"), (app.protocols, "protocol"), (app.fingerprints, "JA4"))
    plural = {"prefix": "prefixes"}
    return ", ".join(
        f"{len(items)} {what if len(items) == 1 else plural.get(what, what + 's')}" for items, what in kinds if items
    )
