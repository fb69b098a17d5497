"""All scenarios that ship at once: a line each, and the worst exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.runner import every


@pytest.mark.thorough
def test_all_that_ships_holds_what_it_expects_a_line_each() -> None:
    done = CliRunner().invoke(app, ["verify", "--all"])
    assert done.exit_code == 0, done.output
    *lines, last = done.output.splitlines()
    names = [name for name, _ in library.shipped("scenarios")]
    assert [line.split()[1] for line in lines] == names
    assert all(line.startswith("ok ") for line in lines)
    assert last.startswith(f"{len(names)} scenarios in ")


def test_a_run_of_all_says_at_once_how_many_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(every, "run_every", lambda *_, **__: iter(()))  # so it ends with its first line and its last
    done = CliRunner().invoke(app, ["run", "--all", "--jobs", "2", "--out", str(tmp_path / "all")])
    assert done.exit_code == 0, done.output
    number = len(list(library.shipped("scenarios")))
    assert done.output.splitlines()[0] == f"{number} scenarios, 2 at a time; one line when each ends"


def test_jobs_without_all_is_refused() -> None:
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--jobs", "2"])
    assert done.exit_code == 2
    assert "--jobs: found no --all; expected --all as well" in done.stderr
