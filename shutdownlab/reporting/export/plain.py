"""Writes tables as CSV with a Data Package, which gives each column's type and meaning (Frictionless Data, v1)."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shutdownlab.reporting.export.columns import Column, DataTable

_TYPES: Final = {
    "category": "string", "text": "string", "time": "datetime", "boolean": "boolean", "integer": "integer",
    "number": "number",
}  # fmt: skip


def write_csv(folder: Path, title: str, tables: Sequence[DataTable]) -> None:
    """Writes NAME.csv for each table, and datapackage.json; raises `OSError`.

    Times are ISO 8601 in UTC, booleans are `true` and `false`, and null is an empty field.
    """
    for table in tables:
        with (folder / f"{table.name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([column.name for column in table.columns])
            by_column = [table.values(place) for place in range(len(table.columns))]
            writer.writerows([_text(value) for value in row] for row in zip(*by_column, strict=True))
    (folder / "datapackage.json").write_text(json.dumps(_package(title, tables), indent=1, ensure_ascii=False) + "\n")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}Z"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _package(title: str, tables: Sequence[DataTable]) -> dict[str, Any]:
    return {
        "profile": "tabular-data-package",
        "name": "run",
        "title": title,
        "resources": [
            {
                "profile": "tabular-data-resource",
                "name": table.name,
                "path": f"{table.name}.csv",
                "description": table.meaning,
                "encoding": "utf-8",
                "schema": {
                    "fields": [_field(table, place, column) for place, column in enumerate(table.columns)],
                    "missingValues": [""],
                },
            }
            for table in tables
        ],
    }


def _field(table: DataTable, place: int, column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "type": _TYPES[column.kind], "description": column.meaning}
    if column.kind == "category":
        values = [value for value in table.categories(place) if value]
        found |= {"constraints": {"enum": values}} if values else {}
    return found
