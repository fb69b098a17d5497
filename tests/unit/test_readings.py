"""readings.csv: what outside signals showed, as a run directory has it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from shutdownlab.config.problems import BadInput
from shutdownlab.results.reading import READINGS, Reading, read_readings, write_readings
from shutdownlab.schemas.shipped import shipped

BGP = Reading("bgp", "blackout", "operator", "kcell", "ipv4", 1 / 3, "share", "measured")
PROBING = Reading("active-probing", "blackout", "country", "", "both", 12.0, "count", "modelled")


def test_readings_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_readings(tmp_path, [BGP, PROBING])
    back = read_readings(tmp_path)
    assert back[1] == PROBING
    assert back[0].value == pytest.approx(1 / 3, rel=1e-9)


def test_a_row_is_as_the_schema_says(tmp_path: Path) -> None:
    write_readings(tmp_path, [BGP])
    schema = json.loads(shipped("readings"))
    with (tmp_path / READINGS).open(newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == list(schema["properties"])
    Draft202012Validator(schema).validate(row | {"value": float(row["value"])})


def test_a_run_that_did_not_observe_has_no_readings(tmp_path: Path) -> None:
    assert read_readings(tmp_path) == []


def test_every_row_that_is_no_reading_is_reported_with_its_line(tmp_path: Path) -> None:
    write_readings(tmp_path, [BGP, PROBING])
    file = tmp_path / READINGS
    file.write_text(file.read_text().replace("operator", "village").replace("12", "-12"))
    with pytest.raises(BadInput) as told:
        read_readings(tmp_path)
    first, second = told.value.problems
    assert (first.line, first.where, first.found, first.expected) == (
        2,
        "scope",
        "'village'",
        "one of country, operator, region",
    )
    assert (second.line, second.where, second.expected) == (3, "value", "a number of at least 0")


def test_a_file_without_a_column_is_reported(tmp_path: Path) -> None:
    (tmp_path / READINGS).write_text("signal,phase\nbgp,blackout\n")
    with pytest.raises(BadInput, match="no column scope, of, family, value, unit, basis"):
        read_readings(tmp_path)
