"""examples/notebook.py: read from a run with DuckDB, it finds what the README says of the flagship."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import shutdownlab as sl

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def found(flagship: Path) -> dict[str, Any]:
    """What its cells define, once it has run."""
    return notebook_of(flagship)


def notebook_of(run: Path) -> dict[str, Any]:
    """What its cells define of a run."""
    for package in ("marimo", "duckdb", "pyarrow"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'shutdownlab[data]' marimo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUN", str(run))
        app = runpy.run_path(str(ROOT / "examples/notebook.py"), run_name="notebook")["app"]
        _, definitions = app.run()
        return dict(definitions)


def in_the_readme(phase: str) -> list[str]:
    """The figures of a phase in the README's table, of both of its blocks."""
    rows = re.findall(rf"^\d\d Jan \d\d:\d\d {phase} +(.*)$", README, re.MULTILINE)
    assert len(rows) == 2
    return " ".join(rows).split()


@pytest.mark.parametrize("phase", ["messengers", "blackout", "window-2-capital", "allowlist", "mobile-last", "stable"])
def test_its_shares_are_those_of_the_readme_s_table(found: dict[str, Any], phase: str) -> None:
    shares = {
        service: "·" if share is None else str(round(100 * share))
        for service, share in found["shares"].filter(f"phase = '{phase}'").project("service, share").fetchall()
    }
    columns = sl.load("kazakhstan-2022").scenario.headings
    assert [shares.get(column, "·") for column in columns] == [each.strip("~") for each in in_the_readme(phase)]


def test_what_was_left_of_the_blackout_is_what_the_readme_says(found: dict[str, Any]) -> None:
    assert "port holes, BGP 100; calls, SMS 72; all\nelse 0" in README
    assert found["left"] == {"port holes": 100, "calls": 72, "SMS": 72}


def test_bgp_showed_nothing_and_there_were_five_windows(found: dict[str, Any]) -> None:
    assert found["gone"] == 0
    assert [name for name, _ in found["windows"]] == [f"window-{number}" for number in range(1, 6)]
    assert "then six days of blackout with five short\nwindows" in README


def test_what_it_cost_is_what_the_readme_says(found: dict[str, Any]) -> None:
    amounts = found["cost"]
    said = f"${amounts['cost']}, {amounts['report']} and {amounts['graded']} million"
    assert said in README.replace("\n", " ")


def test_it_goes_through_any_run_though_nothing_says_what_the_economy_is(tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    found = notebook_of(tmp_path / "run")
    assert (found["cost"], found["left"]) == ({}, {"calls": 100, "port 179": 100})


def test_the_notebook_for_jupyter_has_the_same_code() -> None:
    """After a change (it needs nbformat):
    marimo export ipynb examples/notebook.py -o examples/notebook.ipynb --no-include-outputs"""
    cells = json.loads((ROOT / "examples/notebook.ipynb").read_text())["cells"]
    jupyter = ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "code"]
    text = (ROOT / "examples/notebook.py").read_text()
    bodies = re.findall(r"^@app\.cell\ndef _\(.*?\):\n(.*?)^    return.*?$", text, re.MULTILINE | re.DOTALL)
    marimo = [dedent(body).strip() for body in bodies if "mo.md(" not in body]
    assert len(marimo) == 8
    assert jupyter == marimo
