"""The exported tables of a run: results, phases, orders, measurements, readings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from shutdownlab.reporting.export.columns import Column, DataTable, Kind, columns
from shutdownlab.reporting.page.account import RunAccount
from shutdownlab.reporting.page.orders import Order
from shutdownlab.results.reading import Reading
from shutdownlab.results.result import Result
from shutdownlab.schemas.docstrings import field_texts

_KINDS: Final[dict[str, Kind]] = {
    "time": "time", "weight": "number", "value": "number", "tries": "integer", "phase_seconds": "number",
    "failure": "text", "source": "text",
}  # fmt: skip
"""The kinds of the columns of results.csv; the others are categories."""


def results_table(account: RunAccount) -> DataTable:
    """Returns the table with a row per cell: the columns of results.csv, and whether it was as expected."""
    texts = field_texts(Result)
    fields = [(field.alias or name, name, texts[name]) for name, field in Result.model_fields.items()]
    described = [Column(alias, _KINDS.get(name, "category"), _plain(meaning)) for alias, name, meaning in fields]
    described.append(Column("met", "boolean", "Whether the outcome is as expected; true where nothing is expected."))
    rows = [(*(getattr(result, name) for _, name, _ in fields), result.met) for result in account.results]
    return DataTable("results", "What became of each cell.", tuple(described), rows)


def phases_table(account: RunAccount) -> DataTable:
    """Returns the table with a row per measured phase."""
    described = columns((
        ("phase", "category", "The name of the phase."),
        ("place", "integer", "Its place among the phases that were measured, from 1."),
        ("title", "text", "What happens in it."),
        ("begins", "time", "When it begins, in the scenario's time."),
        ("ends", "time", "When it ends: with the scenario's next phase; null where nothing says it."),
        ("hours", "number", "How long it lasts, in hours; null where nothing says it."),
    ))  # fmt: skip
    rows = [
        (span.name, place, span.title, span.at, span.until, span.hours if span.until else None)
        for place, span in enumerate(account.spans, 1)
    ]
    return DataTable("phases", "The phases that were measured.", described, rows)


def orders_table(account: RunAccount, orders: tuple[Order, ...]) -> DataTable:
    """Returns the table with a row for each order or fault and each phase in which it was in force."""
    described = columns((
        ("order", "category", "The name of the policy, or of the fault."),
        ("phase", "category", "A phase in which it was in force."),
        ("title", "text", "What it does."),
        ("carried_out_by", "category", "What enforces it; null where the scenario is not there any more."),
        ("is_fault", "boolean", "Whether it is something that broke, which nobody ordered."),
        ("source", "text", "Who reported it."),
    ))  # fmt: skip
    rows = [
        (order.name, account.spans[place].name, order.title, order.by or None, order.is_fault, order.source or None)
        for order in orders
        for place in order.phases
    ]
    return DataTable("orders", "What was in force, phase by phase.", described, rows)


def measurements_table(numbered: list[tuple[int, dict[str, Any]]]) -> DataTable:
    """Returns the table with a row per measurement record. numbered: records with their lines in measurements.jsonl."""
    described = columns((
        ("phase", "category", "The name of the phase."),
        ("operator_asn", "integer", "The AS number of the operator."),
        ("region", "category", "The region of the vantage point."),
        ("subscriber", "category", "The group of subscribers at the vantage point."),
        ("target", "category", "The name of the probe: `target` of the results."),
        ("family", "category", "The address family."),
        ("test_name", "category", "OONI's test; with x_ before what OONI has no test for."),
        ("input", "text", "What was measured, as OONI names it."),
        ("started", "time", "When it was measured, in the scenario's time."),
        ("measured_at", "time", "When it was measured, by the wall clock."),
        ("runtime", "number", "Seconds that it took."),
        ("outcome", "category", "The outcome that it shows, as in the results."),
        ("failure", "text", "OONI's name for what failed; null where nothing did."),
        ("test_keys", "text", "What the probe saw, as OONI's JSON."),
        ("line", "integer", "Its line in measurements.jsonl, from 1."),
    ))  # fmt: skip
    return DataTable(
        "measurements", "The measurements that the results stand on.", described, list(_measured(numbered))
    )


def _measured(numbered: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[Any, ...]]:
    for line, record in numbered:
        notes, keys = record.get("annotations") or {}, record.get("test_keys") or {}
        yield (
            notes.get("phase"), int(str(record.get("probe_asn", "AS0")).removeprefix("AS")), notes.get("region"),
            notes.get("subscriber"), keys.get("x_probe"), keys.get("x_family"), record.get("test_name"),
            record.get("input"), _moment(record.get("measurement_start_time")), _moment(notes.get("measured_at")),
            record.get("test_runtime"), keys.get("x_outcome"), keys.get("x_failure"),
            json.dumps(keys, ensure_ascii=False), line,
        )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def readings_table(readings: list[Reading]) -> DataTable:
    """Returns the table with a row per reading of an outside signal."""
    described = columns((
        ("signal", "category", "The signal."),
        ("phase", "category", "The phase in which it was read."),
        ("scope", "category", "Whether it is the whole country's, an operator's or a region's."),
        ("of", "category", "The operator or region; empty for the country."),
        ("family", "category", "The address family, or both."),
        ("value", "number", "What was read, in `unit`."),
        ("unit", "category", "`share` of what there is on a quiet day, or `count` of things."),
        ("basis", "category", "Whether it is measured, modelled or held."),
    ))  # fmt: skip
    rows = [(r.signal, r.phase, r.scope, r.of, r.family, r.value, r.unit, r.basis) for r in readings]
    return DataTable("readings", "What outside signals showed.", described, rows)


def _plain(docstring: str) -> str:
    return " ".join(docstring.split())
