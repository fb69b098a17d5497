"""The floors of the house: imports run downwards, and `make lint` says so when one does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Of the tests' environment; `make test-lowest` names the locked one's: the linter needs a newer rich than the program,
# and nothing of what it reads is installed anyway.
LINT = os.environ.get("LINT_IMPORTS") or str(Path(sys.executable).with_name("lint-imports"))


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [LINT, "--no-cache", "--no-logo", "--config", str(ROOT / "pyproject.toml")]
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def copied(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "shutdownlab", folder / "shutdownlab", ignore=ignored)
    return folder


def test_no_import_of_the_program_runs_upwards(tmp_path: Path) -> None:
    checked = linted(copied(tmp_path))

    assert checked.returncode == 0, checked.stdout


def test_an_import_that_runs_upwards_is_refused_and_named(tmp_path: Path) -> None:
    module = copied(tmp_path) / "shutdownlab/model/policy.py"
    module.write_text(module.read_text() + "\nfrom shutdownlab.control import orders_of_tomorrow\n")
    (tmp_path / "shutdownlab/control/orders_of_tomorrow.py").write_text("")

    checked = linted(tmp_path)

    assert checked.returncode == 1
    assert "shutdownlab.model.policy -> shutdownlab.control.orders_of_tomorrow" in checked.stdout


def test_system_may_not_even_import_the_floors_below_it(tmp_path: Path) -> None:
    module = copied(tmp_path) / "shutdownlab/system/child_process.py"
    module.write_text(module.read_text() + "\nfrom shutdownlab.protocol import messages\n")

    checked = linted(tmp_path)

    assert checked.returncode == 1
    assert "shutdownlab.system.child_process -> shutdownlab.protocol.messages" in checked.stdout
