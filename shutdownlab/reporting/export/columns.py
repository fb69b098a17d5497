"""The columns of exported tables: their types and meanings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Kind = Literal["category", "text", "time", "boolean", "integer", "number"]
"""The type of a column. `category`: text with few distinct values; `time`: a point in time, UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. meaning: one sentence, with the unit."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True)
class DataTable:
    """A table. A row has a value for each column, in order; None is null."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]

    def values(self, place: int) -> list[Any]:
        """Returns the values of the column with index `place`; enumeration members as their values."""
        return [value.value if isinstance(value, Enum) else value for value in (row[place] for row in self.rows)]

    def categories(self, place: int) -> list[str]:
        """Returns the distinct values of the column with index `place`, in the order of the rows, without None."""
        return list(dict.fromkeys(value for value in self.values(place) if value is not None))


def columns(described: Iterable[tuple[str, Kind, str]]) -> tuple[Column, ...]:
    """Makes columns from names, kinds and meanings."""
    return tuple(Column(name, kind, meaning) for name, kind, meaning in described)
