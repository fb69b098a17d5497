"""What is to be written where only somebody else may: told as the option's mistake, whatever the command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from invocation import invoke

RUN = Path(__file__).parents[1] / "data/run-0.1"

WRITING = {
    "run": ("run", "first-shutdown", "--out", "theirs/it"),
    "run into it": ("run", "first-shutdown", "--out", "theirs"),
    "run --junit": ("run", "first-shutdown", "--out", "own", "--junit", "theirs/it.xml"),
    "run --report": ("run", "first-shutdown", "--out", "own", "--report", "theirs/it.html"),
    "matrix": ("matrix", "first-shutdown", "--out", "theirs/it"),
    "verify": ("verify", "first-shutdown", "--out", "theirs/it"),
    "verify into it": ("verify", "first-shutdown", "--out", "theirs"),
    "verify --force": ("verify", "first-shutdown", "--out", "theirs/run", "--force"),
    "run --force": ("run", "first-shutdown", "--out", "theirs/run", "--force"),
    "report": ("report", "mine", "-o", "theirs/it.html"),
    "plot": ("plot", "mine", "-o", "theirs/it.svg"),
    "export": ("export", "mine", "--to", "csv", "-o", "theirs/it"),
    "check --graph": ("check", "first-shutdown", "--graph", "theirs/it.svg"),
}
USUAL = ("run", "run into it", "run --report", "matrix", "verify", "export")
"""One for each thing that writes; the others go through all options of theirs."""
UNREAD = ("verify into it", "verify --force", "run --force")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, id=name, marks=() if name in USUAL else pytest.mark.thorough)
        for name, command in WRITING.items()
    ],
)
def test_a_directory_of_another_user_is_refused_and_nothing_in_it_is_touched(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shutil.copytree(RUN, theirs / "run")
    shutil.copytree(RUN, tmp_path / "mine")
    for path in (theirs, theirs / "run"):
        path.chmod(0o555 if os.geteuid() != 0 else 0o755)
    before = {path: path.stat().st_mtime_ns for path in [theirs, *theirs.rglob("*")]}

    done = invoke(tmp_path, *command, user="ordinary" if os.geteuid() == 0 else "same")

    assert done.code == 2, done.output
    assert "permission denied" in done.output
    assert "has a bug" not in done.output
    assert {path: path.stat().st_mtime_ns for path in [theirs, *theirs.rglob("*")]} == before
    assert not (tmp_path / "own").exists(), "what cannot be written in the end is told before a run begins"


@pytest.mark.parametrize(
    "command", ["run into it", *(pytest.param(each, marks=pytest.mark.thorough) for each in UNREAD)]
)
def test_one_that_cannot_even_be_read_is_refused_in_the_same_words(tmp_path: Path, command: str) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(RUN, theirs / "run")
    theirs.chmod(0o700 if os.geteuid() == 0 else 0o000)
    done = invoke(tmp_path, *WRITING[command], user="ordinary" if os.geteuid() == 0 else "same")
    theirs.chmod(0o700)
    assert done.code == 2, done.output
    assert "--out: found theirs" in done.output
    assert "permission denied" in done.output
    assert "expected a directory that can be written" in done.output
