"""`exec` without `--`: whose options are whose is told, with the command line that was meant."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from shutdownlab.cli import app


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (
            ["first-shutdown", "--from", "southcell/coast", "curl", "-m", "5", "https://kaspi.kz/"],
            "exec first-shutdown --from southcell/coast -- curl -m 5 https://kaspi.kz/",
        ),
        (["first-shutdown", "--trust", "ping", "-c", "3", "a b"], "exec first-shutdown --trust -- ping -c 3 'a b'"),
        (["first-shutdown"], "exec first-shutdown -- COMMAND"),
    ],
)
def test_the_hint_says_where_to_put_the_dashes(arguments: list[str], meant: str) -> None:
    done = CliRunner().invoke(app, ["exec", *arguments], env={"COLUMNS": "200"})
    told = " ".join(done.output.replace("│", " ").split())
    assert done.exit_code == 2
    assert "hint: put `--` before the command to run:" in told
    assert meant in told


def test_with_the_dashes_the_commands_options_are_its_own() -> None:
    done = CliRunner().invoke(app, ["exec", "no-such-scenario", "--from", "a/b", "--", "curl", "-m", "5"])
    assert done.exit_code == 2
    assert "no such file" in done.output
    assert "put `--`" not in done.output
