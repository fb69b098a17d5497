"""What a command imports before it does anything: a program that needs seconds to say `--help` is not used in scripts.

Counted are modules, never seconds: those depend on the machine.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from shutdownlab.cli import app
from shutdownlab.cli.commands import COMMANDS, Entry

IMPORTED = """
import json, sys
sys.argv = ["shutdownlab", *sys.argv[1:]]
from shutdownlab.cli import main
try:
    main()
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_and_version_import_the_command_line_and_nothing_behind_it(arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    own = {module for module in modules if module.startswith("shutdownlab.")}
    assert {module.split(".")[1] for module in own} == {"cli", "config", "reporting", "system"}
    assert {module for module in own if module.startswith("shutdownlab.cli.")} == {
        "shutdownlab.cli.commands",
        "shutdownlab.cli.program",
    }
    assert not packages(modules) & {"pydantic", "yaml", "cryptography", "aioquic", "os_ken", "mininet", "numpy"}


def test_inspect_imports_the_engine_and_nothing_of_a_country(tmp_path: Path) -> None:
    capture = tmp_path / "empty.pcap"
    capture.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    modules = imported_by("inspect", "--summary", str(capture))
    layers = {module.split(".")[1] for module in modules if module.startswith("shutdownlab.")}
    assert "inspection" in layers
    assert not layers & {"library", "model", "schemas", "servers"}
    assert not packages(modules) & {"hpack", "numpy", "onnxruntime"}  # each when a packet or a rule asks for it


def test_check_imports_the_language_and_nothing_of_a_run() -> None:
    modules = imported_by("check", "kazakhstan-2022")
    layers = {module.split(".")[1] for module in modules if module.startswith("shutdownlab.")}
    assert not layers & {
        "box", "compiler", "control", "costing", "measure", "network", "ooni", "protocol", "results", "runner",
        "schemas", "servers", "signals", "verifier", "web",
    }  # fmt: skip
    assert not packages(modules) & {"aioquic", "os_ken", "mininet", "pyroute2", "numpy", "h11"}
    assert not {"shutdownlab.reporting.graph", "shutdownlab.reporting.png"} & modules  # nothing is drawn


def test_verify_imports_nothing_that_reads_or_keeps_runs() -> None:
    modules = imported_by("verify", "first-shutdown")
    assert not modules & {
        "shutdownlab.results.run",
        "shutdownlab.results.events",
        "shutdownlab.results.manifest",
        "shutdownlab.protocol.messages",
        "shutdownlab.verifier.explain",
        "shutdownlab.reporting.junit",
        "shutdownlab.reporting.sarif",
    }
    assert not packages(modules) & {"os_ken", "mininet", "pyroute2", "numpy"}


def test_explain_of_a_scenario_imports_nothing_that_reads_runs() -> None:
    modules = imported_by("explain", "first-shutdown", "--at", "baseline", "--from", "northnet/capital", "--to", "dns")
    assert "shutdownlab.verifier.explain" in modules
    assert not modules & {"shutdownlab.results.run", "shutdownlab.results.events"}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_command_is_there_and_its_own_help_begins_with_what_the_list_says(entry: Entry) -> None:
    group = typer.main.get_command(app)
    deferred = group.commands[entry.name]  # type: ignore[attr-defined]
    told = deferred.command.help
    assert deferred.command.name == entry.name
    assert told.startswith(deferred.help)
    assert deferred.help == entry.summary
