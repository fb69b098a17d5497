"""A package that adds a kind of probe: installed as a user would, and used in a real run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from invocation import Record, invoke, shutdownlab

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A copy of the example package: installing writes into it."""
    return Path(shutil.copytree(PLUGIN, tmp_path / "plugin"))


@pytest.fixture
def installed(plugin: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a program that has the package on its path."""
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(plugin)], check=True)
    others = shutdownlab("same", tmp_path)[1].get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(target), *filter(None, [others])])}


def test_a_package_adds_a_kind_of_probe_that_a_scenario_can_name(
    plugin: Path, installed: dict[str, str], tmp_path: Path
) -> None:
    done = invoke(tmp_path, "run", plugin / "gopher-run.yaml", "--trust", "--out", "run", env=installed)
    assert done.code == 0, done.output
    record = Record(tmp_path / "run")
    seen = {(row["phase"], row["operator"]): (row["outcome"], row["value"], row["unit"]) for row in record.rows}
    assert seen["baseline", "alpnet"] == seen["closed", "bergnet"] == ("ok", "2", "items")
    assert seen["closed", "alpnet"][0] == "blocked"
    assert {(one["test_name"], one["input"]) for one in record.measurements} == {
        ("x_gopher", "gopher://gopher.example:70/1")
    }

    report = invoke(tmp_path, "report", "run", "--as", "shares", env=installed)
    assert report.code == 0, report.output
    heading, *lines = (line.split(",") for line in report.output.splitlines())
    assert heading == ["phase", *record.manifest["columns"]]
    assert [line[0] for line in lines] == ["baseline", "closed"]
    assert "1.000" in lines[0]


def test_without_the_package_its_kind_is_unknown_and_the_message_says_how_to_add_one(
    plugin: Path, tmp_path: Path
) -> None:
    done = invoke(tmp_path, "check", plugin / "gopher-run.yaml")
    assert done.code == 2
    assert "probes.burrow.test: found 'gopher'; expected one of app, call, command" in done.output
    assert "a package adds one by the entry point group 'shutdownlab.probes'" in done.output
