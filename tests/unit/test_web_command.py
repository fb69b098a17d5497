"""`shutdownlab web`: what is wrong with its arguments is told before anything is built or served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.system.limits import Room


def refused(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["web", *arguments])
    return done.exit_code, done.output


def test_a_topology_has_nothing_to_order() -> None:
    code, said = refused("two-operators")

    assert code == 2
    assert "found the topology 'two-operators'; expected a scenario, or a run" in said


def test_a_run_is_in_no_phase_that_can_be_asked_for(tmp_path: Path) -> None:
    sl.verify("first-shutdown").write(tmp_path / "run")
    code, said = refused(str(tmp_path / "run"), "--at", "blackout")

    assert code == 2
    assert "--at: found a run" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("first-shutdown", "--host", "0.0.0.0"), "--host: found 0.0.0.0; expected the one address"),
        (("first-shutdown", "--port", "70000"), "--port: found 70000; expected a port"),
        (("first-shutdown", "--students", "1000"), "--students: found 1000; expected a number up to 200"),
        (("first-shutdown", "--at", "blackoot"), "--at: found unknown phase 'blackoot'"),
        (
            ("runs/nosuch",),
            "SCENARIO|RUN: found runs/nosuch, which does not exist; expected a scenario's name or file, or",
        ),
    ],
)
def test_each_mistake_is_reported_as_one_in_its_option(arguments: tuple[str, ...], said: str) -> None:
    code, output = refused(*arguments)

    assert code == 2
    assert said in output


def test_a_country_each_for_more_students_than_the_machine_bears_is_refused_before_any_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Room, "here", lambda directory=None: Room(memory_bytes=10 << 30))
    code, said = refused("first-shutdown", "--students", "30", "--role", "own")

    assert code == 2
    assert "--students: found 10,240 MiB of free memory; expected at least 16,620 MiB for 30 countries" in said
    assert "at most 18 here" in said
    assert "building" not in said


def test_where_a_package_is_missing_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, said = refused("first-shutdown")

    assert code == 3
    assert "pip install 'shutdownlab[web]'" in said


def test_the_command_line_does_without_the_packages_that_serve_pages() -> None:
    script = (
        "import shutdownlab.cli, sys; print([m for m in ('starlette', 'uvicorn', 'websockets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
