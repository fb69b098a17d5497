"""A reading: the value of one outside signal for a country, an operator or a region in one phase. A run's readings.csv.

The file exists only if the run observed; its columns are the fields of `Reading`, in order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from shutdownlab.config.problems import BadInput, Problem, Problems
from shutdownlab.model.topology import Topology, VantageId

Scope = Literal["country", "operator", "region"]
"""The scope of a reading."""
Basis = Literal["measured", "modelled", "held"]
"""`measured`: from packets or routes of a run. `modelled`: computed from the scenario, or from a model of user
behaviour (a curve over the day). `held`: the previous value still stands."""
Unit = Literal["share", "count"]

READINGS: Final = "readings.csv"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading is of: the whole country, an operator or a region; `of`: its name, empty for the country."""

    scope: Scope
    of: str

    def covers(self, vantage: VantageId) -> bool:
        """Returns whether a vantage point belongs to it."""
        return self.scope == "country" or self.of == (vantage.operator if self.scope == "operator" else vantage.region)


def places_of(topology: Topology) -> tuple[Place, ...]:
    """Returns the places that readings are of: the country, then each operator, then each region."""
    operators = (Place("operator", name) for name in topology.operators)
    return (Place("country", ""), *operators, *(Place("region", name) for name in topology.regions))


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of one signal for one country, operator or region in one phase. A row of readings.csv."""

    signal: str
    """The signal: `bgp`, `active-probing`, `telescope`, `cdn`, `http3`, `mobile`, `atlas-datacentre`, `atlas-home`,
    `dns-queries`, `tor-relays`, `tor-bridges`, `vpn-demand`, `hyperquack` (of the names requested from servers
    in the country, the share answered as usual), or another observer's."""
    phase: str
    """The phase in which it was read."""
    scope: Scope
    """Whether it covers the whole country, an operator or a region."""
    of: str
    """The name of the operator or region; empty for the country."""
    family: Literal["ipv4", "ipv6", "both"]
    """The address family that it covers."""
    value: float
    """The value, in `unit`, at least 0."""
    unit: Unit
    """`share`: a fraction of the value on a quiet day, which is 1 (a signal may rise above it); `count`: a number of
    networks, sources or queries."""
    basis: Basis
    """`measured`: from packets or routes of a run. `modelled`: computed from the scenario, or from a model of user
    behaviour. `held`: the previous value still stands."""


COLUMNS: Final = tuple(field.name for field in fields(Reading))


def readings_text(readings: Iterable[Reading]) -> str:
    """Returns readings as the text of a readings.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for reading in readings:
        row = [getattr(reading, name) for name in COLUMNS]
        writer.writerow([f"{value:.10g}" if isinstance(value, float) else value for value in row])
    return out.getvalue()


def write_readings(directory: Path, readings: Iterable[Reading]) -> None:
    """Writes the readings.csv of a run directory, replacing any that exists."""
    draft = directory / f"{READINGS}.draft"
    draft.write_text(readings_text(readings))
    draft.replace(directory / READINGS)


def read_readings(directory: Path) -> list[Reading]:
    """Returns the readings of a run directory; none if it has no readings.csv, because the run did not observe.

    Raises `BadInput` with the line of every row that is not a valid reading.
    """
    file = directory / READINGS
    try:
        text = file.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput([Problem(str(file), 0, "", str(error), "a readable readings.csv")]) from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    given = tuple(reader.fieldnames or ())
    if missing := [name for name in COLUMNS if name not in given]:
        expected = f"the columns {', '.join(COLUMNS)}"
        raise BadInput([Problem(str(file), 1, "", f"no column {', '.join(missing)}", expected)])
    found, problems = list[Reading](), Problems()
    for row in reader:
        try:
            found.append(_reading(row))
        except (ValidationError, ValueError) as error:
            problems.append(_problem(file, reader.line_num, row, error))
    if problems:
        raise BadInput(problems)
    return found


@cache
def _reader() -> TypeAdapter[Reading]:
    return TypeAdapter(Reading)


def _reading(row: dict[str, str]) -> Reading:
    reading = _reader().validate_python({name: row[name] for name in COLUMNS})
    if not 0 <= reading.value < float("inf"):
        raise ValueError("value")
    return reading


def _problem(file: Path, line: int, row: dict[str, str], error: Exception) -> Problem:
    where = "value"
    if isinstance(error, ValidationError) and error.errors()[0]["loc"]:
        where = str(error.errors()[0]["loc"][0])
    choices = get_args(get_type_hints(Reading).get(where))
    expected = "a number of at least 0" if where == "value" else "text"
    if choices:
        expected = f"one of {', '.join(choices)}"
    return Problem(str(file), line, where, repr(row.get(where)), expected)
