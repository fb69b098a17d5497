"""The report of two runs: the page of one, with what differs from the other."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "first"
    sl.verify("first-shutdown").write(folder)
    return folder


@pytest.fixture(scope="module")
def compared(first: Path, changed: Path) -> str:
    return sl.report(changed, against=first).html


def words(page: str, tag: str) -> list[str]:
    """The text of each element of a kind that has none of its kind within."""
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page)
    return [re.sub(r"<[^>]+>", "", each).replace("&#x27;", "'") for each in found]


def data_of(page: str) -> dict[str, Any]:
    packed = re.findall(r'id="pg-data">([^<]*)<', page)[0]
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return found


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shutdown, whose messenger block spares the coast."""
    folder = tmp_path_factory.mktemp("changed")
    text = (ROOT / "scenarios/first-shutdown.yaml").read_text()
    rule = "    title: Northnet's DPI box answers WhatsApp with TCP resets\n"
    assert rule in text
    (folder / "mine.yaml").write_text(text.replace(rule, f"{rule}    except: {{regions: [coast]}}\n"))
    sl.verify(folder / "mine.yaml").write(folder / "new")
    return folder / "new"


def test_the_page_says_what_differs_since_which_line(first: Path, changed: Path, compared: str) -> None:
    [line] = [each for each in words(compared, "li") if each.startswith("northnet, coast")]
    assert line.startswith(
        "northnet, coast, messenger: whatsapp: blocked → ok, since whatsapp-reset excepts regions coast now"
    )
    assert ", mine.yaml:" in line
    assert str(changed.parent) not in compared, "the page does not tell where the file is"
    [row] = [each for each in words(compared, "tr") if each.startswith("messengerWhatsApp")]
    was, now = (sl.Run.open(run).table["messenger", "WhatsApp"] for run in (first, changed))
    assert row == f"messengerWhatsApp{was}{now}" and str(was) != str(now)
    assert words(compared, "h2")[0] == "What differs"


def test_every_cell_that_came_out_otherwise_is_marked(first: Path, changed: Path, compared: str) -> None:
    data = data_of(compared)
    found = {
        (data["phases"][place][0], "/".join(data["rows"][int(row)][:3]), *column.split(), *was)
        for place, of_phase in enumerate(data["was"]["cells"])
        for row, columns in of_phase.items()
        for column, was in columns.items()
    }
    old = {(r.phase, r.vantage, r.target, r.family): r for r in sl.Run.open(first).results}
    expected = set()
    for new in sl.Run.open(changed).results:
        was = old[new.phase, new.vantage, new.target, new.family]
        if (was.outcome, was.failure) != (new.outcome, new.failure):
            expected.add((new.phase, new.vantage, new.target, new.family.value, was.outcome.value, was.failure or ""))
    assert expected and found == expected


def test_the_mark_of_such_a_cell_is_among_the_symbols(first: Path, compared: str) -> None:
    assert "✓ with a corner: otherwise in first" in words(compared, "li")
    assert "pg-corner" not in sl.report(first, against=first).html.split("<main")[1], "nothing is marked there"


def test_a_run_does_not_differ_from_itself(first: Path) -> None:
    assert words(sl.report(first, against=first).html, "strong") == ["No change: 454 cells come out as before."]
    assert "What differs" not in words(sl.report(first).html, "h2")


def test_runs_of_different_countries_are_not_compared(first: Path, tmp_path: Path) -> None:
    sl.verify("belarus-august-2020").write(tmp_path / "other")
    with pytest.raises(sl.BadInput, match="which has no cell that"):
        sl.report(tmp_path / "other", against=first)


def test_two_runs_are_a_page_or_a_diff(first: Path, changed: Path, compared: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(first), str(changed), "-o", str(tmp_path / "two.html")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "two.html").read_text() == compared
    done = CliRunner().invoke(app, ["report", str(first), str(changed)])
    assert done.exit_code == 2
    assert "`shutdownlab diff` prints what differs" in done.output
