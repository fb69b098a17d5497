"""The manifest has the SHA-256 of every file of the user's own that a run was made from, and of nothing that ships."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import shutdownlab as sl
from shutdownlab.library import shipped_file

EXAMPLES = Path(__file__).parents[2] / "examples"


def digests(folder: Path) -> dict[str, str]:
    """Of all files in a folder, by name."""
    return {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.is_file()}


def files_of(scenario: Any, place: Path) -> dict[str, str]:
    sl.verify(sl.load(scenario), at=None).write(place)
    found: dict[str, str] = json.loads((place / "manifest.json").read_text())["files"]
    return found


@pytest.mark.parametrize(
    ("example", "scenario"), [("own-bank", "bank-run.yaml"), ("own-programs", "board-run.yaml")], ids=str
)
def test_all_that_a_scenario_names_is_there(example: str, scenario: str, tmp_path: Path) -> None:
    """Topology, apps, profile, rules, names; a server's program and a controller."""
    own = Path(shutil.copytree(EXAMPLES / example, tmp_path / "own"))
    assert files_of(own / scenario, tmp_path / "run") == digests(own)


def test_another_content_of_a_list_is_another_digest_and_the_rest_is_the_same(tmp_path: Path) -> None:
    own = Path(shutil.copytree(EXAMPLES / "own-bank", tmp_path / "own"))
    before = files_of(own / "bank-run.yaml", tmp_path / "before")
    (own / "names.txt").write_text((own / "names.txt").read_text() + "# looked at\n")
    after = files_of(own / "bank-run.yaml", tmp_path / "after")
    assert {name for name in before if before[name] != after[name]} == {"names.txt"}
    assert after == digests(own)


def test_nothing_that_ships_is_among_them(tmp_path: Path) -> None:
    assert files_of("first-shutdown", tmp_path / "run") == {}


def test_a_base_and_what_is_included_are_and_what_is_elsewhere_has_its_whole_path(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere.yaml"
    own.mkdir()
    (own / "base.yaml").write_text(shipped_file("first-shutdown").read_text())
    elsewhere.write_text(shipped_file("two-operators").read_text())
    mine = own / "mine.yaml"
    mine.write_text("extends: base.yaml\nname: mine\ntopology: ../elsewhere.yaml\n")
    found = files_of(mine, tmp_path / "run")
    assert found == digests(own) | {str(elsewhere): sha256(elsewhere.read_bytes()).hexdigest()}


def test_of_a_scenario_that_a_program_made_they_are_the_files_that_it_names(tmp_path: Path) -> None:
    country = tmp_path / "country.yaml"
    country.write_text(shipped_file("two-operators").read_text())
    made = {
        "format": 1, "name": "made", "title": "Made", "topology": str(country),
        "policies": {}, "probes": {"ping": {"test": "ping", "host": "8.8.8.8"}},
        "timeline": [{"phase": "quiet", "at": "2030-05-01T08:00Z", "title": ""}],
        "ends": "2030-05-02T00:00Z",
    }  # fmt: skip
    assert files_of(made, tmp_path / "run") == {str(country): sha256(country.read_bytes()).hexdigest()}
