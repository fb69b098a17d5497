"""Writes tables as Parquet files or as a DuckDB database. Needs pyarrow and duckdb, the extra `data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shutdownlab.reporting.export.columns import DataTable


def write_parquet(folder: Path, title: str, tables: Sequence[DataTable]) -> None:
    """Writes NAME.parquet for each table: times are UTC timestamps, categories are dictionaries, and each column's
    meaning is in its metadata (`description`). Raises `ImportError` if pyarrow is missing, and `OSError`."""
    import pyarrow.parquet

    for table in tables:
        pyarrow.parquet.write_table(_arrow(table, title), folder / f"{table.name}.parquet", compression="zstd")


def write_duckdb(file: Path, title: str, tables: Sequence[DataTable]) -> None:
    """Writes one database with all tables: times are TIMESTAMPTZ, categories are ENUM (columns of the same name share a
    type, so that tables can be joined by them), and meanings are comments.

    Raises `ImportError` if duckdb or pyarrow is missing, and what duckdb raises.
    """
    import duckdb

    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        categories = _categories(tables)
        for name, values in categories.items():
            connection.execute(f"CREATE TYPE {_name(name)} AS ENUM ({', '.join(map(_text, values))})")
        for table in tables:
            connection.register("given", _arrow(table, title))
            parts = []
            for column in table.columns:
                name, is_category = _name(column.name), column.kind == "category" and column.name in categories
                parts.append(f"CAST(CAST({name} AS VARCHAR) AS {name}) AS {name}" if is_category else name)
            connection.execute(f"CREATE TABLE {_name(table.name)} AS SELECT {', '.join(parts)} FROM given")
            connection.unregister("given")
            connection.execute(f"COMMENT ON TABLE {_name(table.name)} IS {_text(table.meaning)}")
            for column in table.columns:
                where = f"{_name(table.name)}.{_name(column.name)}"
                connection.execute(f"COMMENT ON COLUMN {where} IS {_text(column.meaning)}")


def _categories(tables: Sequence[DataTable]) -> dict[str, list[str]]:
    """Returns the values of category columns by column name, merged over all tables."""
    found: dict[str, dict[str, None]] = {}
    for table in tables:
        for place, column in enumerate(table.columns):
            if column.kind == "category":
                found.setdefault(column.name, {}).update(dict.fromkeys(table.categories(place)))
    return {name: list(values) for name, values in found.items() if values}


def _name(text: str) -> str:
    """Quotes an SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    """Quotes an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _arrow(table: DataTable, title: str) -> Any:
    """Returns a table as a `pyarrow.Table`."""
    import pyarrow

    types = {
        "category": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), "text": pyarrow.string(),
        "time": pyarrow.timestamp("us", tz="UTC"), "boolean": pyarrow.bool_(), "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
    }  # fmt: skip
    fields = [
        pyarrow.field(column.name, types[column.kind], metadata={"description": column.meaning})
        for column in table.columns
    ]
    arrays = []
    for place, field in enumerate(fields):
        values = table.values(place)
        if pyarrow.types.is_dictionary(field.type):
            arrays.append(pyarrow.array(values, pyarrow.string()).dictionary_encode())
        else:
            arrays.append(pyarrow.array(values, field.type))
    schema = pyarrow.schema(fields, metadata={"title": title, "description": table.meaning})
    return pyarrow.Table.from_arrays(arrays, schema=schema)
