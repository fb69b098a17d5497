"""What `shutdownlab run` makes of a run once it has ended: JUnit's XML, the report, and whether the model agrees."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from shutdownlab.cli import app
from shutdownlab.results.run import Run
from shutdownlab.runner import launch
from shutdownlab.verifier.verify import verify


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that a run of `first-shutdown` leaves here, in no time."""
    directory = tmp_path / "run"
    verify("first-shutdown").write(directory)
    monkeypatch.setattr(launch, "run", lambda *_args, **_options: Run.open(directory))
    return directory


def test_a_run_that_did_other_than_the_model_says_ends_with_1_and_tells_for_whom(played: Path) -> None:
    table = played / "results.csv"
    as_said = CliRunner().invoke(app, ["run", "first-shutdown", "--verify"])
    assert as_said.exit_code == 0
    assert "The model says the same of all 454 cells." in as_said.output
    row = next(
        line for line in table.read_text().splitlines() if ",kaspi.kz,ipv4,blocked,generic_timeout_error," in line
    )
    table.write_text(table.read_text().replace(row, row.replace(",blocked,generic_timeout_error,", ",ok,,")))
    otherwise = CliRunner().invoke(app, ["run", "first-shutdown", "--verify"])
    assert otherwise.exit_code == 1
    assert "the model says → packets did: " in otherwise.output
    assert "kaspi.kz: blocked → ok" in otherwise.output
    assert "Packets differed from the model in 1 of 454 cells." in otherwise.output


def test_junit_has_what_was_measured_before_a_run_broke_off(
    played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_args: object, **_options: object) -> Run:
        raise launch.RunFailed(Run.open(played), 3)

    monkeypatch.setattr(launch, "run", breaks)
    file = tmp_path / "measured.xml"
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--junit", str(file)])
    assert done.exit_code == 3
    assert len(ElementTree.parse(file).getroot()) == 7


def test_the_report_is_written_when_the_run_has_ended_and_also_when_it_broke_off(
    played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_args: object, **_options: object) -> Run:
        raise launch.RunFailed(Run.open(played), 3)

    whole, part = tmp_path / "whole.html", tmp_path / "part.html"
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--report", str(whole)])
    assert done.exit_code == 0, done.output
    monkeypatch.setattr(launch, "run", breaks)
    assert CliRunner().invoke(app, ["run", "first-shutdown", "--report", str(part)]).exit_code == 3
    assert whole.read_text() == part.read_text()
    assert "</html>" in whole.read_text()


def test_a_report_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    for name, said in (("report.txt", "expected a name that ends in .html"), ("no/report.html", "cannot be written")):
        done = CliRunner().invoke(app, ["run", "first-shutdown", "--report", str(tmp_path / name)])
        assert done.exit_code == 2
        assert said in done.output.replace("\n", " ")


def test_junit_that_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--junit", str(tmp_path)])
    assert done.exit_code == 2
    assert f"--junit: found {tmp_path}, which cannot be written (is a directory)" in done.output.replace("\n", " ")
