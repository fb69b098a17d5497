"""`shutdownlab report`: what a run ended with, read from its directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.reporting.report import installed_reports

OLD = Path(__file__).parent.parent / "data" / "run-0.1"


def report(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["report", *arguments])
    return done.exit_code, done.output


def test_the_table_of_a_run_is_printed_from_its_directory() -> None:
    code, output = report(str(OLD))
    assert code == 0, output
    assert "Percent of ordinary subscribers who got through" in output
    assert "expectations met" in output


def test_what_went_wrong_in_several_attempts_is_told_once(tmp_path: Path) -> None:
    run = Path(shutil.copytree(OLD, tmp_path / "run"))
    manifest = json.loads((run / "manifest.json").read_text())
    died = ["baseline: nginx died", "baseline: a switch was stopped", "baseline: nginx died"]
    (run / "manifest.json").write_text(json.dumps(manifest | {"faults": died}))
    told = [line for line in report(str(run))[1].splitlines() if "went wrong" in line]
    assert told == ["went wrong: baseline: nginx died (2 times)", "went wrong: baseline: a switch was stopped"]
    assert report(str(run), "--output", str(tmp_path / "page.html"))[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert (page.count("nginx died (2 times)"), page.count("<li>baseline: nginx died")) == (1, 1)


def test_what_ships_is_registered_like_a_strangers() -> None:
    assert "table" in installed_reports()


def test_an_unknown_report_and_a_directory_without_a_run_are_refused() -> None:
    code, output = report(str(OLD), "--as", "tabel")
    assert code == 2
    assert "--as: found unknown report 'tabel'; expected" in output
    assert report("no/such/run")[0] == 2
