"""`--sample`: what cannot differ from an earlier phase is measured in a share of phases, and held in the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_repeats import NIGHT, country
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.config.problems import BadInput
from shutdownlab.reporting import junit
from shutdownlab.results.table import table_of
from shutdownlab.verifier.sampling import held_cells


def nights(**changed: object) -> dict[str, object]:
    """Eleven nights and days."""
    return country({"night": NIGHT | {"every": {"from": "01:00", "to": "09:00"}}}, **changed)


def phases_held(made: dict[str, object], share: float) -> list[str]:
    shutdown = library.load(made)
    return list(held_cells(shutdown, {}, shutdown.scenario.timeline, share))


def test_of_nights_that_are_alike_the_first_is_measured_and_stands_for_the_others() -> None:
    shutdown = library.load(nights())
    held = held_cells(shutdown, {}, shutdown.scenario.timeline, 0)
    assert "before" not in held
    assert "night-1" not in held
    assert {set(held[f"night-{number}"].values()).pop() for number in range(2, 12)} == {"night-1"}
    assert {set(held[f"day-{number}"].values()).pop() for number in range(1, 12)} == {"before"}


@pytest.mark.parametrize(("share", "least", "most"), [(0.1, 1, 4), (0.5, 9, 12), (0.9, 17, 20)])
def test_the_share_of_phases_is_measured_again_nights_and_days_alike(share: float, least: int, most: int) -> None:
    held = phases_held(nights(), share)
    assert least <= 21 - len(held) <= most
    if share == 0.5:
        measured = {name.partition("-")[0] for name in library_phases() if name not in held}
        assert measured == {"before", "night", "day"}


def library_phases() -> list[str]:
    return [phase.phase for phase in library.load(nights()).scenario.timeline]


def test_everything_is_measured_where_the_share_is_all() -> None:
    assert phases_held(nights(), 1) == []


def test_whom_a_new_policy_concerns_is_measured_and_the_others_are_held() -> None:
    shutdown = library.load("first-shutdown")
    held = held_cells(shutdown, {}, shutdown.scenario.timeline, 0)
    assert {cell.split()[1].rpartition("/")[2] for cell in held["messenger"]} == {"government", "datacentre"}
    assert held["messenger"]["messenger northnet/capital/government whatsapp ipv4"] == "baseline"


def test_a_program_of_the_users_own_is_always_measured() -> None:
    made = nights()
    made["probes"] = {"mine": {"test": "command", "command": ["true"]}}
    assert phases_held(made, 0) == []


def test_rows_say_from_which_phase_they_are_held_and_that_nothing_was_measured(tmp_path: Path) -> None:
    sl.verify(nights(), sample=0).write(tmp_path / "run")
    with (tmp_path / "run/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    held = [row for row in rows if row["phase"] == "night-5"]
    assert held
    assert {(row["held"], row["certainty"], row["tries"], row["outcome"]) for row in held} == {
        ("night-1", "held", "0", "blocked")
    }
    assert {row["held"] for row in rows if row["phase"] == "night-1"} == {""}
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert (manifest["sample"], manifest["held"]) == (0.0, sum(bool(row["held"]) for row in rows))


def test_what_is_held_is_marked_in_tables_and_never_among_the_measured_in_junit() -> None:
    verified = sl.verify(nights(), sample=0)
    table = table_of(verified.results)
    assert str(table["night-1", "ping"]) == "0"
    assert str(table["night-2", "ping"]) == "0="
    suites = {suite.get("name"): suite for suite in ElementTree.fromstring(junit.of_verified(verified))}
    assert suites["night-1"].get("skipped") == "0"
    assert suites["night-2"].get("skipped") == "1"


def test_a_held_row_that_is_expected_otherwise_is_not_as_expected() -> None:
    made = nights()
    timeline = made["timeline"]
    assert isinstance(timeline, list)
    timeline.append({"phase": "night-3", "expect": ["open"]})
    unmet = sl.verify(made, sample=0).unmet
    assert {(result.phase, result.held) for result in unmet} == {("night-3", "night-1")}


def test_what_is_held_is_not_compared_with_what_was_measured(tmp_path: Path) -> None:
    sl.verify(nights(), sample=0).write(tmp_path / "sampled")
    sl.verify(nights()).write(tmp_path / "whole")
    found = sl.diff(tmp_path / "sampled", tmp_path / "whole")
    assert found.compared == 2 * len({(r.vantage, r.family) for r in sl.verify(nights(), at="before")})


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_from_0_to_1(share: float) -> None:
    with pytest.raises(BadInput, match="expected a share from 0 to 1"):
        sl.verify(nights(), sample=share)


def test_the_command_names_its_option_and_says_what_its_marks_mean(tmp_path: Path) -> None:
    bad = CliRunner().invoke(app, ["verify", "syria-exams-2019", "--sample", "7"])
    assert bad.exit_code == 2
    assert "--sample: found 7; expected a share from 0 to 1" in bad.stderr
    done = CliRunner().invoke(app, ["verify", "syria-exams-2019", "--sample", "0"])
    assert done.exit_code == 0
    assert "= held in a sample" in done.output
