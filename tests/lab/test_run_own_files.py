"""The examples of what a user brings along, run as their first lines say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from invocation import Record, invoke

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A copy of examples/own-programs; under /tmp, of which a sandbox has its own."""
    return Path(shutil.copytree(EXAMPLES / "own-programs", tmp_path / "own"))


def test_a_country_with_its_own_bank_box_rules_and_names_is_shut_down_as_its_scenario_expects(tmp_path: Path) -> None:
    done = invoke(tmp_path, "run", EXAMPLES / "own-bank" / "bank-run.yaml", "--out", "run")
    assert done.code == 0, done.output
    record = Record(tmp_path / "run")
    bank = {key[:2]: outcome for key, outcome in record.outcomes.items() if key[4] == "bank"}
    assert bank[("no-bank", "alpnet")] == "blocked"
    assert bank[("bank-only", "alpnet")] == bank[("no-bank", "bergnet")] == "ok"
    assert record.manifest["profiles"]["alpnet"] == "alpland-box"


def test_a_server_and_a_controller_of_ones_own_run_where_they_are_trusted(tmp_path: Path, programs: Path) -> None:
    done = invoke(tmp_path, "run", programs / "board-run.yaml", "--trust", "--out", "run")
    assert done.code == 0, done.output
    assert "does not carry out board-blocked" in done.output
    [log] = (tmp_path / "run" / "logs" / "services").glob("own-1-*/log")
    assert "GET / HTTP/1.1" in log.read_text()


def test_without_trust_nothing_of_it_starts_and_all_that_would_is_listed(tmp_path: Path, programs: Path) -> None:
    for command in (("run", "own/board-run.yaml", "--out", "run"), ("lab", "own/board-run.yaml")):
        done = invoke(tmp_path, *command)
        assert done.code == 2
        server = (
            r"own/country[.]yaml:\d+: transits.transit-one.serves\[2\].command: found the server notice board: python3"
        )
        assert re.search(server, done.output)
        assert "own/board-run.yaml:7: controllers.alpnet: found the controller" in done.output
        assert "--trust" in done.output
    assert not (tmp_path / "run").exists()


def test_check_needs_no_trust_and_lists_what_would_start(tmp_path: Path, programs: Path) -> None:
    done = invoke(tmp_path, "check", "own/board-run.yaml")
    assert done.code == 0
    assert f"with --trust it starts the server notice board: python3 {programs}/board.py" in done.output
    assert f"with --trust it starts the controller: {programs}/lenient_isp.py (own/board-run.yaml:7)" in done.output


def test_a_server_of_ones_own_that_ends_is_told_with_its_log(tmp_path: Path, programs: Path) -> None:
    (programs / "board.py").write_text("import sys\nsys.exit('no board today')\n")
    done = invoke(tmp_path, "exec", "own/country.yaml", "--from", "alpnet/valley", "--trust", "--", "true")
    assert done.code == 3
    assert "notice board on transit-one-servers" in done.output
    assert "no board today" in done.output


def test_a_server_that_cannot_be_executed_is_told_with_what_to_do(tmp_path: Path, programs: Path) -> None:
    text = (programs / "country.yaml").read_text().replace('[python3, ./board.py, "{address}", "8080"]', "[./board.py]")
    (programs / "country.yaml").write_text(text)
    done = invoke(tmp_path, "exec", "own/country.yaml", "--from", "alpnet/valley", "--trust", "--", "true")
    assert done.code == 3
    assert f"chmod +x {programs}/board.py" in done.output
