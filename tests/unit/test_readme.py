"""The README's examples are as the program is: what needs no country is run here, the rest in tests/lab."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
import typer.main
import yaml
from readme import ROOT, block_with, blocks, in_a_shell

import shutdownlab as sl
from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.library import Shutdown
from shutdownlab.model.lookup import phase_named, vantage_point

CI_LINES = [step["run"] for step in yaml.safe_load(blocks("yaml")[-1])["steps"] if "run" in step]
LINES = [line for block in blocks() for line in block.splitlines()] + CI_LINES
COMMANDS = [
    shlex.split(re.split(r"\s[>|]\s", found[1], maxsplit=1)[0], comments=True)
    for line in LINES
    if (found := re.match(r"(?:\$ |cd \S+ && |\.venv/bin/)?shutdownlab (.*)", line))
]
WITHOUT_A_COUNTRY = """
vagrant() { :; }
cd() { :; }
shutdownlab() { case "$1 $2" in run*|exec*|lab*|*runs/*) ;; *) command shutdownlab "$@" || (($? == 1)) ;; esac; }
"""
"""A researcher's machine; what needs a country is passed over. `diff` ends with 1 where there are differences."""


@pytest.mark.parametrize("arguments", COMMANDS, ids=shlex.join)
def test_every_command_takes_the_arguments_that_it_is_shown_with(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    with command.make_context("shutdownlab", list(arguments)) as context:
        name, found, rest = command.resolve_command(context, arguments)  # type: ignore[attr-defined]
        found.make_context(name, rest, parent=context)


@pytest.mark.parametrize(
    "arguments",
    [each for each in COMMANDS if each[0] in {"run", "lab", "exec"} and "my" not in each[1]],
    ids=shlex.join,
)
def test_scenarios_phases_and_vantage_points_are_there(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if arguments[1].startswith("policies/"):
        return  # the reader's own
    monkeypatch.chdir(ROOT)
    loaded = library.check(arguments[1])
    for option in ("--at", "--until"):
        if option in arguments:
            assert isinstance(loaded, Shutdown)
            phase_named(loaded.scenario, arguments[arguments.index(option) + 1], option)
    if "--from" in arguments:
        vantage_point(loaded.topology, arguments[arguments.index("--from") + 1], "--from")


def test_the_researchers_example_changes_one_thing(tmp_path: Path) -> None:
    done = in_a_shell(block_with("vagrant ssh"), tmp_path, WITHOUT_A_COUNTRY)
    assert done.returncode == 0, done.stderr
    changed = library.load(tmp_path / "my.yaml").scenario
    shipped = library.load("kazakhstan-2022").scenario
    differing = [name for name, policy in shipped.policies.items() if changed.policies[name] != policy]
    assert differing
    for name in differing:
        before, after = shipped.policies[name].except_.ports, changed.policies[name].except_.ports
        assert {str(port) for port in before} - {str(port) for port in after} == {"3785"}
    assert changed.model_copy(update={"policies": shipped.policies}) == shipped


def test_the_report_is_written_as_it_says(tmp_path: Path) -> None:
    done = in_a_shell(block_with("kz.html"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "</html>" in (tmp_path / "kz.html").read_text()


@pytest.mark.parametrize("block", blocks("yaml")[:-1], ids=lambda block: block.splitlines()[0])
def test_pieces_of_a_scenario_are_valid_in_one(block: str, tmp_path: Path) -> None:
    scenario = yaml.safe_load((ROOT / "scenarios/first-shutdown.yaml").read_text())
    piece = yaml.safe_load(block)
    for key, value in piece.items():
        scenario[key] = scenario.get(key, {}) | value if isinstance(value, dict) else value
    scenario = piece if "extends" in piece else scenario
    (tmp_path / "mytool").write_text("#!/bin/sh\n")
    (tmp_path / "mytool").chmod(0o755)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(scenario))
    library.load(tmp_path / "mine.yaml")


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[2])
def test_names_in_python_examples_are_there(block: str) -> None:
    compile(block, "README.md", "exec")
    for owner, name in re.findall(r"\b(sl|lab|run)\.(\w+)", block):
        holder = {"sl": sl, "lab": sl.Lab, "run": sl.Run}[owner]
        assert hasattr(holder, name) or name in inspect.get_annotations(holder), f"{owner}.{name}"
