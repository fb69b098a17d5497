"""File names to write to that are folders or have another ending: refused with a name that would do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from shutdownlab.config.wording import with_ending

RUN = str(Path(__file__).parents[1] / "data/run-0.1")
COMMANDS = {
    "plot": (("plot", RUN, "-o"), "hint: name it figure.pdf"),
    "report": (("report", RUN, "-o"), "hint: name it report.html"),
    "export": (("export", RUN, "--to", "ooni", "-o"), "hint: name it run-0.1.jsonl.gz"),
    "check": (("check", "first-shutdown", "--graph"), "country.svg"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_place_of_a_file_to_write_is_refused_with_a_name_that_would_do(
    command: str, tmp_path: Path
) -> None:
    words, hint = COMMANDS[command]
    for folder in (".", "/", ".."):
        argv = [sys.executable, "-m", "shutdownlab", *words, folder]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done.stderr
        assert hint in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_place_of_a_scenario_is_reported_for_what_it_is(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "shutdownlab", "detect", RUN]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "hint: it is a run: name its scenario" in done.stderr, done.stderr
    (tmp_path / "folder").mkdir()
    done = subprocess.run(
        [*argv[:-1], "folder"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, "it is a run" in done.stderr) == (2, False)


@pytest.mark.parametrize(
    ("name", "would_do"),
    [
        ("run-0.1-duckdb", "run-0.1-duckdb.pdf"),
        ("kz-2022.01.05", "kz-2022.01.05.pdf"),
        ("v1.2-draft", "v1.2-draft.pdf"),
        ("figure.jpeg", "figure.pdf"),
        ("figure", "figure.pdf"),
        (".hidden", ".hidden.pdf"),
    ],
)
def test_a_name_that_would_do_keeps_the_dots_that_begin_no_ending(name: str, would_do: str) -> None:
    assert str(with_ending(PurePath("folder.d") / name, ".pdf", "figure")) == f"folder.d/{would_do}"
