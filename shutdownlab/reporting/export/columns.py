"""Columns of exported tables: what type they have, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Kind = Literal["category", "text", "time", "boolean", "integer", "number"]
"""`category`: text of few values; `time`: a moment, in UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. meaning: in a sentence, with its unit."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table: a row is a sequence of values in the order of the columns, null where there is none."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]

    def values(self, place: int) -> list[Any]:
        """Those of a column; of enumerations, what files have."""
        return [value.value if isinstance(value, Enum) else value for value in (row[place] for row in self.rows)]

    def categories(self, place: int) -> list[str]:
        """The values that a column has, each once, in the order of the rows."""
        return list(dict.fromkeys(value for value in self.values(place) if value is not None))


def columns(described: Iterable[tuple[str, Kind, str]]) -> tuple[Column, ...]:
    """Columns from names, kinds and meanings."""
    return tuple(Column(name, kind, meaning) for name, kind, meaning in described)
