"""What commands say of arguments and files that are not what they take."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shutdownlab.cli import app, listing

ROOT = Path(__file__).parents[2]


def told(*arguments: object, code: int = 2) -> str:
    """What a command says, on one line whatever box it stands in."""
    done = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "first-shutdown", "--format", "xml"], "Invalid value for '--format': 'xml' is not one of 'table'"),
        (["run", "first-shutdown", "--seed", "x"], "Invalid value for '--seed': found no whole number; expected one."),
        (["detect", "first-shutdown", "--seed", "1.5"], "'--seed': found no whole number; expected one."),
        (["plot", "nowhere", "-o", "a.svg", "--width", "wide"], "'--width': found no number; expected one."),
    ],
)
def test_a_value_of_the_wrong_kind_is_reported_in_our_words(arguments: list[str], message: str) -> None:
    assert message in told(*arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["verify", "first-shutdown", "--out", ""], "'--out'"),
        (["verify", "first-shutdown", "--out="], "'--out'"),
        (["run", "first-shutdown", "--out", ""], "'--out'"),
        (["new", "scenario", "mine", "--out", ""], "'--out'"),
        (["report", ""], "'RUN'"),
        (["plot", "", "-o", "a.svg"], "'RUN'"),
        (["judge", ""], "'FILE'"),
    ],
)
def test_a_variable_that_is_not_set_is_no_path_and_nothing_is_written_here(
    arguments: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"Invalid value for {name}: found an empty name; expected a path." in told(*arguments)
    assert not list(tmp_path.iterdir())


def test_a_strangers_title_gives_the_terminal_no_commands(tmp_path: Path) -> None:
    text = (ROOT / "scenarios/first-shutdown.yaml").read_text()
    title = "title: Everything off but the government and one forgotten port"
    assert text.count(title) == 1
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(title, r'title: "off \e]0;owned\a\x9b2J\u202e"').replace(", ports: [tcp/179]", "", 1))
    asked = ["explain", str(file), "--at", "blackout", "--from", "northnet/capital", "--to", "bridge-179"]
    shown = CliRunner().invoke(app, asked, color=True).output
    assert r"off \x1b]0;owned\x07\x9b2J\u202e" in shown
    assert all(character.isprintable() for character in shown if character != "\n")


def test_a_side_of_a_comparison_without_a_name_is_no_directory_of_a_run() -> None:
    assert "found an empty name; expected a file, or one of the shipped" in told("diff", "first-shutdown", "")


def test_an_empty_value_that_is_no_path_is_judged_by_its_option() -> None:
    assert told("verify", "first-shutdown", "--at", "").startswith("--at: found unknown phase ''; expected one of")


@pytest.mark.parametrize("command", ["judge", "inspect", "verify", "check"])
def test_a_directory_in_place_of_a_file_is_called_one(command: str, tmp_path: Path) -> None:
    assert told(command, tmp_path).startswith(f"{tmp_path}: found a directory; expected ")


def test_of_the_directory_of_a_run_judge_names_the_file_that_is_meant() -> None:
    run = ROOT / "tests/data/run-0.1"
    assert f"hint: of a run: {run}/measurements.jsonl" in told("judge", run)


def test_judge_reads_what_is_piped_to_it() -> None:
    lines = b'{"test_name": "web_connectivity", "test_version": "0.4.3", "input": "http://a.example/", "test_keys": {}}'
    done = subprocess.run(
        [sys.executable, "-m", "shutdownlab", "judge", "-"], input=lines, capture_output=True, check=False
    )
    piped = done.stdout.decode().splitlines()[-1]
    assert piped.startswith("1 measurement judged"), done


def test_judge_begins_no_table_of_what_cannot_be_read(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["judge", str(tmp_path / "nowhere")])
    assert done.stdout == ""


def test_check_counts_one_of_a_thing_as_one() -> None:
    assert "topology cuba: 1 operator, 2 regions, 4 vantage points" in told("check", "cuba-2021", code=0)


def test_check_takes_a_file_of_apps_and_tells_its_mistakes(tmp_path: Path) -> None:
    bank = ROOT / "examples/own-bank/bank.yaml"
    assert told("check", bank, code=0) == f"ok {bank}: a catalogue of apps, 1 app"
    own = tmp_path / "own.yaml"
    own.write_text("format: 1\napps:\n  mine: {title: Mine, category: bank, suffixes: [kaspi.kz]}\n")
    assert f"{own}:3: apps.mine.suffixes[0]: found kaspi.kz, which is kaspi's" in told("check", own)


def test_the_list_is_legible_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    narrow = Console(file=shown, force_terminal=True, no_color=True, width=60, highlight=False, soft_wrap=True)
    monkeypatch.setattr(listing, "Console", lambda **_: narrow)
    listing.list_()
    titles = [line for line in shown.getvalue().splitlines() if line.startswith("  ")]
    assert max(map(len, titles)) <= 60 + len("\x1b[1m\x1b[0m")
    assert any(line.endswith("with reddit.com and") for line in titles)
