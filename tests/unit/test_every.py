"""All scenarios that ship at once: a line each, and the worst exit code."""

from __future__ import annotations

from typer.testing import CliRunner

from shutdownlab import library
from shutdownlab.cli import app


def test_all_that_ships_holds_what_it_expects_a_line_each() -> None:
    done = CliRunner().invoke(app, ["verify", "--all"])
    assert done.exit_code == 0, done.output
    *lines, last = done.output.splitlines()
    names = [name for name, _ in library.shipped("scenarios")]
    assert [line.split()[1] for line in lines] == names
    assert all(line.startswith("ok ") for line in lines)
    assert last.startswith(f"{len(names)} scenarios in ")
