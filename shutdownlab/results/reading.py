"""A reading: what one outside signal showed of a country, an operator or a region in one phase. A run's readings.csv.

The file is there where a run has observed; its columns have the names of the fields of `Reading`, in their order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from shutdownlab.config.problems import BadInput, Problem, Problems

Scope = Literal["country", "operator", "region"]
"""Of what a signal is read."""
Basis = Literal["measured", "modelled", "held"]
"""`measured`: by packets or routes of a run. `modelled`: worked out from the scenario, or by a model of what people do
(a curve over the day). `held`: the last one still counts."""
Unit = Literal["share", "count"]

READINGS: Final = "readings.csv"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one signal showed of one thing in one phase. A row of readings.csv."""

    signal: str
    """The signal: `bgp`, `active-probing`, `telescope`, `cdn`, `http3`, `mobile`, `atlas-datacentre`, `atlas-home`,
    `dns-queries`, `tor-relays`, `tor-bridges`, `vpn-demand`, `hyperquack` (of names asked of servers in the
    country, how many are answered as ever), or another observer's."""
    phase: str
    """The phase in which it was read."""
    scope: Scope
    """Whether it is the whole country's, an operator's or a region's."""
    of: str
    """The name of the operator or region; empty for the country."""
    family: Literal["ipv4", "ipv6", "both"]
    """The address family that it is about."""
    value: float
    """What was read, in `unit`, not below 0."""
    unit: Unit
    """`share`: of what there is on a quiet day, 1 is all of it (more where a signal rises above that); `count`: a
    number of things: networks, sources, queries."""
    basis: Basis
    """`measured`: by packets or routes of a run. `modelled`: worked out from the scenario, or by a model of what people
    do. `held`: the last one still counts."""


COLUMNS: Final = tuple(field.name for field in fields(Reading))
_READER: Final = TypeAdapter(Reading)
_CHOICES: Final = {name: get_args(hint) for name, hint in get_type_hints(Reading).items() if get_args(hint)}


def readings_text(readings: Iterable[Reading]) -> str:
    """Readings as the text of a readings.csv."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for reading in readings:
        row = [getattr(reading, name) for name in COLUMNS]
        writer.writerow([f"{value:.10g}" if isinstance(value, float) else value for value in row])
    return out.getvalue()


def write_readings(directory: Path, readings: Iterable[Reading]) -> None:
    """Write the readings.csv of a run directory, in place of one that is there."""
    draft = directory / f"{READINGS}.draft"
    draft.write_text(readings_text(readings))
    draft.replace(directory / READINGS)


def read_readings(directory: Path) -> list[Reading]:
    """The readings of a run directory; none where it has no readings.csv: the run did not observe.

    Raises `BadInput` with the line of every row that is no reading.
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


def _reading(row: dict[str, str]) -> Reading:
    reading = _READER.validate_python({name: row[name] for name in COLUMNS})
    if not 0 <= reading.value < float("inf"):
        raise ValueError("value")
    return reading


def _problem(file: Path, line: int, row: dict[str, str], error: Exception) -> Problem:
    where = "value"
    if isinstance(error, ValidationError) and error.errors()[0]["loc"]:
        where = str(error.errors()[0]["loc"][0])
    choices = _CHOICES.get(where, ())
    expected = "a number that is not below 0" if where == "value" else "text"
    if choices:
        expected = f"one of {', '.join(choices)}"
    return Problem(str(file), line, where, repr(row.get(where)), expected)
