"""The examples of what a user brings along, run as their first lines say."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from invocation import Record, invoke, small

EXAMPLES = Path(__file__).parents[2] / "examples"
PROBED = ("bbc", "kaspi", "tengrinews")


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
    names = {"bank-run.yaml", "bank.yaml", "box.yaml", "country.yaml", "names.txt", "rules.yaml"}
    assert set(record.manifest["files"]) == names


LISTED = """\
format: 1
name: listed
title: A national list of sites
topology: two-operators
policies:
  listed: {title: The list, block: {site_file: listed.txt}, except: {site_file: spared.txt}, source: made up}
probes:
  bbc: {test: web, url: "https://www.bbc.com/"}
  kaspi: {test: web, url: "https://kaspi.kz/"}
  tengrinews: {test: web, url: "https://tengrinews.kz/"}
timeline:
  - {phase: before, at: 2030-01-01T00:00Z, title: Nothing is blocked}
  - {phase: listed, at: 2030-01-01T01:00Z, title: What is listed is blocked, start: [listed]}
ends: 2030-01-01T02:00Z
"""


def test_fifty_thousand_sites_of_a_file_are_blocked_and_those_of_another_spared_as_verify_says(tmp_path: Path) -> None:
    (tmp_path / "listed.yaml").write_text(LISTED)
    others = "".join(f"host{n}.example{n % 977}.org\n" for n in range(50_000))
    (tmp_path / "listed.txt").write_text(f"{others}0.0.0.0 bbc.com\n||tengrinews.kz^\n")
    (tmp_path / "spared.txt").write_text("*.tengrinews.kz\n")
    done = invoke(tmp_path, "run", "listed.yaml", "--out", "run", "--verify")
    assert done.code == 0, done.output
    outcomes = Record(tmp_path / "run").outcomes
    seen = {target: {o for key, o in outcomes.items() if (key[0], key[4]) == ("listed", target)} for target in PROBED}
    assert seen == {"bbc": {"blocked"}, "kaspi": {"ok"}, "tengrinews": {"ok"}}


def test_a_server_and_a_controller_of_ones_own_run_where_they_are_trusted(tmp_path: Path, programs: Path) -> None:
    done = invoke(tmp_path, "run", programs / "board-run.yaml", "--trust", "--out", "run")
    assert done.code == 0, done.output
    assert "does not carry out board-blocked" in done.output
    [log] = (tmp_path / "run" / "logs" / "services").glob("own-1-*/log")
    assert "GET / HTTP/1.1" in log.read_text()
    named = Record(tmp_path / "run").manifest["files"]
    assert set(named) == {"board-run.yaml", "country.yaml", "board.py", "lenient_isp.py"}


HELPERS = """
import subprocess, threading
def help_it():
    while True:
        subprocess.run(["sleep", "0.3"], check=True)
threading.Thread(target=help_it, daemon=True).start()
"""


def test_what_a_server_of_ones_own_starts_may_end_and_is_no_fault(tmp_path: Path, programs: Path) -> None:
    board = programs / "board.py"
    board.write_text(HELPERS + board.read_text().replace("from __future__ import annotations", ""))
    done = invoke(tmp_path, "run", programs / "board-run.yaml", "--trust", "--out", "run")
    assert done.code == 0, done.output
    assert Record(tmp_path / "run").manifest["faults"] == []


STARTER = """
import subprocess

from shutdownlab.controllers.isp import Isp

from shutdownlab.protocol.messages import Notice, Order


class Starter(Isp):
    def obey(self, order: Order) -> None:
        status = subprocess.run(["sh", "-c", "kill -INT $$; exit 7"], check=False).returncode
        self.tell(Notice(self.operator, f"what it started ended with {status}"))
        print(f"it prints {order.phase}")
        super().obey(order)
"""


def test_what_a_controller_of_ones_own_starts_can_be_interrupted(tmp_path: Path) -> None:
    """Ctrl-C is nothing to a controller, which ends with its run; a program that it starts must not inherit that."""
    (tmp_path / "starter.py").write_text(STARTER)
    path = small(tmp_path, lambda scenario: scenario.update(controllers={"southcell": "starter.py"}))
    done = invoke(tmp_path, "run", path, "--trust", "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    assert "what it started ended with -2" in done.output
    assert "it prints" not in done.output, "which may be a table, or JSON for another program"
    assert "it prints blackout" in (tmp_path / "run" / "logs" / "controllers" / "southcell.log").read_text()


LINGERING = """
import subprocess

from shutdownlab.controllers.isp import Isp

from shutdownlab.protocol.messages import Order


class Lingering(Isp):
    def obey(self, order: Order) -> None:
        super().obey(order)
        subprocess.Popen(["sleep", "2"])
"""


def test_what_a_controller_of_ones_own_starts_may_end_and_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "lingering.py").write_text(LINGERING)
    path = small(tmp_path, lambda scenario: scenario.update(controllers={"southcell": "lingering.py"}))
    done = invoke(tmp_path, "run", path, "--trust", "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    assert Record(tmp_path / "run").manifest["faults"] == []


ADDING = """
from shutdownlab.compiler.rules import PipelineTable, Rule
from shutdownlab.controllers.isp import Isp

from shutdownlab.protocol.messages import Order

TUNNELS = Rule(PipelineTable.ACCESS_LISTS, 5000, (("eth_type", 0x0800), ("ip_proto", 47)))


class Adding(Isp):
    def obey(self, order: Order) -> None:
        super().obey(order)
        for switch in self._switches.values():
            switch.enforce([], [TUNNELS])
"""


def test_rules_that_a_controller_of_ones_own_puts_beside_those_ordered_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "adding.py").write_text(ADDING)
    path = small(tmp_path, lambda scenario: scenario.update(controllers={"southcell": "adding.py"}))
    done = invoke(tmp_path, "run", path, "--trust", "--until", "blackout", "--out", "run")
    assert done.code == 0, done.output
    assert "went wrong" not in done.output


def test_without_trust_nothing_of_it_starts_and_all_that_would_is_listed(tmp_path: Path, programs: Path) -> None:
    for command in (("run", "own/board-run.yaml", "--out", "run"), ("lab", "own/board-run.yaml")):
        done = invoke(tmp_path, *command)
        assert done.code == 2
        server = (
            r"own/country[.]yaml:\d+: transits.transit-one.serves\[2\].command: found the server notice board: python3"
        )
        assert re.search(server, done.output)
        assert "own/board-run.yaml:8: controllers.alpnet: found the controller" in done.output
        assert "--trust" in done.output
    assert not (tmp_path / "run").exists()


def test_check_needs_no_trust_and_lists_what_would_start(tmp_path: Path, programs: Path) -> None:
    done = invoke(tmp_path, "check", "own/board-run.yaml")
    assert done.code == 0
    assert f"with --trust it starts the server notice board: python3 {programs}/board.py" in done.output
    assert f"with --trust it starts the controller: {programs}/lenient_isp.py (own/board-run.yaml:8)" in done.output


def test_a_server_of_ones_own_that_ends_is_reported_with_its_log(tmp_path: Path, programs: Path) -> None:
    (programs / "board.py").write_text("import sys\nsys.exit('no board today')\n")
    done = invoke(tmp_path, "exec", "own/country.yaml", "--from", "alpnet/valley", "--trust", "--", "true")
    assert done.code == 3
    assert "notice board on transit-one-servers" in done.output
    assert "no board today" in done.output


def test_a_server_that_cannot_be_executed_is_reported_with_what_to_do(tmp_path: Path, programs: Path) -> None:
    text = (programs / "country.yaml").read_text().replace('[python3, ./board.py, "{address}", "8080"]', "[./board.py]")
    (programs / "country.yaml").write_text(text)
    done = invoke(tmp_path, "exec", "own/country.yaml", "--from", "alpnet/valley", "--trust", "--", "true")
    assert done.code == 3
    assert f"chmod +x {programs}/board.py" in done.output


def test_a_package_adds_a_kind_of_server_that_apps_can_name(tmp_path: Path, programs: Path) -> None:
    site = tmp_path / "site"
    (site / "warren-1.dist-info").mkdir(parents=True)
    (site / "warren-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: warren\nVersion: 1\n")
    (site / "warren-1.dist-info" / "entry_points.txt").write_text("[shutdownlab.servers]\nburrow = warren:Burrow\n")
    (site / "warren.py").write_text(WARREN)
    (programs / "hole.yaml").write_text(
        "format: 1\napps: {hole: {title: Hole, endpoints: [{names: [hole.example], ports: [burrow/70]}]}}\n"
    )
    text = (programs / "country.yaml").read_text()
    text = text[: text.index("      - title: notice board")] + "      - hole\napps: [hole.yaml]\n"
    (programs / "country.yaml").write_text(text)
    asked = ("--from", "alpnet/valley", "--", "curl", "-sS", "-m", "10", "http://hole.example:70/METADATA")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = invoke(tmp_path, "exec", "own/country.yaml", *asked, env={"PYTHONPATH": path})
    assert (done.code, "Name: warren" in done.output) == (0, True), done.output


WARREN = """
import sys
from pathlib import Path

from shutdownlab.servers.daemon import Daemon, Listening
from shutdownlab.servers.server import Server


class Burrow(Server):
    def daemons(self, premises):
        for hosted in premises.network.hosted:
            for service in hosted.services:
                if service.kind == "burrow":
                    home = premises.directory / f"burrow-{hosted.node}"
                    address = hosted.addresses[0]
                    there = str(Path(__file__).with_name("warren-1.dist-info"))
                    argv = (sys.executable, "-m", "http.server", str(service.port), "-b", str(address), "-d", there)
                    sockets = frozenset({Listening("tcp", address, service.port)})
                    yield Daemon("burrow", hosted.node, argv, home, {}, sockets)
"""
