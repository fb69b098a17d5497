"""`shutdownlab verify`: what it says is what a run has measured, and it needs nothing that a run needs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from typer.testing import CliRunner

import shutdownlab as sl
from shutdownlab.cli import app
from shutdownlab.model.scenario import Outcome
from shutdownlab.verifier.verify import Verified, verify

MEASURED = Path(__file__).parents[1] / "data/first-shutdown-measured.csv"
"""The cells that `shutdownlab run first-shutdown` has measured (29 November 2026)."""


@pytest.fixture(scope="module")
def first() -> Verified:
    return verify("first-shutdown")


def changed(**fields: Any) -> dict[str, Any]:
    """first-shutdown as a mapping, with some of its keys replaced."""
    import yaml

    text = Path(__file__).parents[2] / "scenarios/first-shutdown.yaml"
    return {**yaml.safe_load(text.read_text()), **fields}


def test_every_cell_of_a_measured_run_comes_out_with_the_outcome_and_the_failure_that_were_measured(
    first: Verified,
) -> None:
    with MEASURED.open(newline="") as file:
        measured = [tuple(row.values()) for row in csv.DictReader(file)]
    found = [(r.phase, r.vantage, r.target, r.family.value, r.outcome.value, r.failure or "") for r in first]
    assert found == measured


def test_cells_that_cannot_differ_are_followed_once(first: Verified) -> None:
    assert len(first.results) == 454
    assert len(first.verifier.verdicts) < 200


def test_it_works_where_nothing_of_linux_can_be_imported() -> None:
    script = """
        import sys

        class Nothing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"fcntl", "pyroute2", "mininet", "os_ken"}:
                    raise ImportError(f"{name} is not there")

        sys.meta_path.insert(0, Nothing())
        import shutdownlab as sl

        found = sl.verify("first-shutdown", at="messenger")
        print(len(found.results), found.exit_code)
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("64 0\n", "")


def test_it_ends_as_a_run_does_and_names_the_cells_that_are_not_as_expected(tmp_path: Path) -> None:
    scenario = changed()
    scenario["policies"]["blackout"]["except"] = {"subscribers": ["government"]}
    file = tmp_path / "closed.yaml"
    file.write_text(json.dumps(scenario))
    done = CliRunner().invoke(app, ["verify", str(file)])
    assert done.exit_code == 1
    line = (
        "not as expected: blackout: bridge-179 from northnet/capital/ordinary, northnet/capital/datacentre, "
        "northnet/coast/ordinary and 2 more: expected ok [EXAMPLE], saw blocked (generic_timeout_error)"
    )
    assert line in done.output
    assert "5 of 454 cells are not as expected." in done.output
    assert CliRunner().invoke(app, ["verify", str(file), "--at", "messenger"]).exit_code == 0


def test_a_wrong_phase_or_choice_is_bad_input() -> None:
    for arguments, found in (
        (["--at", "mesenger"], "--at: found unknown phase 'mesenger'"),
        (["--choose", "comand=direct"], "--choose: found unknown account 'comand'"),
    ):
        done = CliRunner().invoke(app, ["verify", "first-shutdown", *arguments])
        assert done.exit_code == 2
        assert found in done.output


def test_a_written_directory_reads_as_a_run_that_says_it_was_verified(first: Verified, tmp_path: Path) -> None:
    first.write(tmp_path / "out")
    run = sl.Run.open(tmp_path / "out")
    assert (run.status, run.exit_code, run.unmet) == ("verified", 0, [])
    assert str(run.table) == str(first.table)
    assert [r.model_copy(update={"phase_seconds": None}) for r in run.results] == first.results
    with pytest.raises(sl.BadInput, match="holds the results of a run"):
        first.write(tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "why"),
    [("file", "which is not a directory"), ("file/run", r"which cannot be created \(not a directory\)")],
)
def test_a_place_that_cannot_be_a_run_s_is_refused_as_for_a_run(
    first: Verified, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(sl.BadInput, match=f"out: found {tmp_path}/{name}, {why}"):
        first.write(tmp_path / name)
    done = CliRunner().invoke(app, ["verify", "first-shutdown", "--out", str(tmp_path / name)])
    assert done.exit_code == 2
    assert "--out: found" in done.output.replace("\n", " ")


def test_chance_is_undecided_and_fails_only_where_one_is_strict(tmp_path: Path) -> None:
    scenario = changed(expectations={}, timeline=[])
    scenario["policies"] = {
        "often": {
            "title": "WhatsApp's names, nine times out of ten",
            "inspect": [
                {"name": "wa", "when": {"name_suffix": "whatsapp.net", "probability": 0.9}, "verdict": "reset"}
            ],
            "source": "EXAMPLE",
        }
    }
    scenario["accounts"] = {}
    phase = {"phase": "one", "at": "2030-05-01T08:00Z", "title": "One", "start": ["often"]}
    scenario["timeline"] = [phase | {"expect": [{"outcome": "ok", "source": "EXAMPLE"}]}]
    scenario["probes"] = {name: scenario["probes"][name] for name in ("whatsapp", "telegram")}
    found = verify(scenario)
    undecided = [result for result in found.results if result.target == "whatsapp"]
    assert {result.outcome for result in undecided} == {Outcome.UNKNOWN}
    assert {result.failure for result in undecided} == {
        "undecided: blocked (connection_reset) or ok: what the box draws"
    }
    assert {result.outcome for result in found.results if result.target == "telegram"} == {Outcome.OK}
    strict = verify(scenario, strict=True)
    assert (found.exit_code, strict.exit_code) == (0, 1)
    assert (str(found.table["one", "WhatsApp"]), str(strict.table["one", "WhatsApp"])) == ("?", "?!")
    found.write(tmp_path / "out")
    assert sl.Run.open(tmp_path / "out").unmet == []
    said = CliRunner().invoke(app, ["report", str(tmp_path / "out")]).output
    assert "who would get through" in said
    assert "undecided: whatsapp in one: blocked (connection_reset) or ok: what the box draws" in said
    assert "All 6 expectations hold; 6 undecided.\nNothing was run: this is what `verify` says" in said
    page = sl.report(tmp_path / "out").html
    assert "<title>A first shutdown: a shutdown, worked out</title>" in page
    assert "Not as expected" not in page
    assert page.count(">Undecided</th>") == 1


def test_what_hangs_on_the_look_of_packets_is_undecided() -> None:
    """Which sizes and gaps a real client's have, no model knows."""
    scenario = changed(expectations={}, timeline=[], accounts={})
    when = {"first_packets": [{"size_at_least": 500}], "protocol": "dns"}
    scenario["policies"] = {
        "look": {
            "title": "Long questions",
            "inspect": [{"name": "long", "when": when, "verdict": "drop"}],
            "source": "EXAMPLE",
        }
    }
    phase = {"phase": "one", "at": "2030-05-01T08:00Z", "title": "One", "start": ["look"]}
    scenario["timeline"] = [phase]
    scenario["probes"] = {name: scenario["probes"][name] for name in ("whatsapp", "telegram")}
    found = [result for result in verify(scenario).results if result.outcome is Outcome.UNKNOWN]
    assert found
    assert {result.failure for result in found} == {
        "undecided: how long, how random and how soon a connection's first packets are"
    }


def test_junit_has_a_test_for_each_target_of_a_phase_and_json_the_sum() -> None:
    runner = CliRunner()
    xml = runner.invoke(app, ["verify", "first-shutdown", "--at", "blackout", "--format", "junit"]).output
    assert '<testsuite name="blackout" tests="10" failures="0" errors="0" skipped="0">' in xml
    assert '<testcase classname="first-shutdown.blackout" name="bridge-179" />' in xml
    told = json.loads(runner.invoke(app, ["verify", "first-shutdown", "--format", "json"]).output)
    assert (told["cells"], told["exit_code"], told["unmet"], told["undecided"]) == (454, 0, [], [])


def test_results_take_the_place_of_a_runs_and_of_nothing_else(tmp_path: Path) -> None:
    runner, out = CliRunner(), tmp_path / "out"
    argv = ["verify", "first-shutdown", "--at", "baseline", "--out", str(out)]
    assert runner.invoke(app, argv).exit_code == 0
    again = runner.invoke(app, argv)
    assert again.exit_code == 2
    assert "or replace that run with --force" in again.output.replace("\n", " ")
    (out / "results.csv").write_text("old")
    assert runner.invoke(app, [*argv, "--force"]).exit_code == 0
    assert (out / "results.csv").read_text().startswith("phase,time")
    (out / "mine.txt").write_text("keep me")
    refused = runner.invoke(app, [*argv, "--force"])
    assert refused.exit_code == 2
    assert "mine.txt" in refused.output
    assert (out / "mine.txt").read_text() == "keep me"
    alone = runner.invoke(app, ["verify", "first-shutdown", "--force"])
    assert alone.exit_code == 2
    assert "no --out" in alone.output
