"""`check` of a list, as rules and policies name them: what it is, who takes it, and what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.config.document import MAX_BYTES


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# ours\n\nblocked.example\n*.пример.рф\n", "a list of 2 names, for `name_file:` of a rule, or `site_file:`"),
        ("0.0.0.0 ads.example tracker.example\n", "a list of 2 names,"),
        ("0.0.0.0\tads.example\n", "a list of 1 name,"),  # a tab, which YAML refuses
        ("! title\n||ads.example^\n", "a list of 1 name,"),
        ("192.0.2.0/24\n2001:db8::1 # one\n", "a list of 2 prefixes, for `address_file:` of a rule"),
        ("192.0.2.1-192.0.2.2\n", "a list of 2 prefixes"),
        ("$TTL 300\n@ IN SOA localhost. root. 1 2 3 4 5\nads.example CNAME .\n", "a list of 1 name,"),
        ('server:\n  local-zone: "ads.example" static\n', "a list of 1 name,"),
    ],
)
def test_a_list_is_named_with_who_takes_it(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.txt")])
    assert done.exit_code == 0
    assert told in done.stdout


def test_a_mistake_in_a_list_is_reported_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("blocked.example\nhttps://blocked.example/\n")
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.txt")])
    assert done.exit_code == 2
    assert "list.txt:2: found 'https://blocked.example/'" in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://blocked.example/\nblocked.example\n", "without https:// and without a path"),
        ("domain,category\nblocked.example,NEWS\n", "`cut -d, -f1 FILE`"),
        ("network,country\n192.0.2.0/24\n", "one prefix, address or range per line"),
        ("@@||blocked.example^\n", "exceptions as separate rules"),
        ("Updated: 2022-01-05 10:00:00 +0000\n192.0.2.1;blocked.example;;order\n", "one prefix, address or range"),
    ],
)
def test_a_list_with_a_mistake_in_its_first_line_is_a_list_still(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.txt")])
    assert done.exit_code == 2
    assert "list.txt:1: found" in done.stderr
    assert told in done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"one.example\n", mtime=0), "a file compressed by gzip"),
        ("one.example\n".encode("utf-16"), "UTF-16"),
        ("192.0.2.1\n".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_a_list_that_is_packed_or_encoded_otherwise_is_told_so(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.txt")])
    assert done.exit_code == 2
    assert f"found {told}; expected a name or an address per line" in " ".join(done.stderr.split())


def test_a_list_may_be_larger_than_any_scenario(tmp_path: Path) -> None:
    names = "".join(f"{number:07}.blocked.example\n" for number in range(60_000))
    (tmp_path / "list.txt").write_text(names)
    assert len(names) > MAX_BYTES
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.txt")])
    assert (done.exit_code, "a list of 60,000 names" in done.stdout) == (0, True), done.output
    (tmp_path / "list.yaml").write_text(names)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "list.yaml")])
    assert done.exit_code == 2 and "at most 1,048,576" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "name: mine\nrules: []\n", "name: mine\n\n# why\nrules:\n- {name: a, verdict: drop}\n", "rules:\n- name: a\n",
        '{"name": "mine"\n, "rules": []}\n', "---\nname: mine\n", "name: mine\n'rules': []\n", "name:\n  mine\n",
    ],
)  # fmt: skip
def test_yaml_of_whatever_form_by_another_ending_is_no_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.txt").write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "mine.txt")])
    assert "a list of" not in done.output and "per line" not in done.output


@pytest.mark.parametrize(("name", "text"), [("list.yaml", "blocked.example\n"), ("list.txt", "")])
def test_what_is_called_yaml_or_is_empty_is_no_list(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    done = CliRunner().invoke(app, ["check", str(tmp_path / name)])
    assert done.exit_code == 2
    assert "a YAML mapping" in done.stderr


def test_a_scenario_by_another_ending_is_a_scenario_still(tmp_path: Path) -> None:
    text = Path(__file__).parents[2].joinpath("scenarios/first-shutdown.yaml").read_text()
    (tmp_path / "mine.txt").write_text(text)
    assert "phases" in CliRunner().invoke(app, ["check", str(tmp_path / "mine.txt")]).stdout
