"""With files handed to workers whole, the longest go first: `LONGEST` of tests/conftest.py."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def longest() -> tuple[str, ...]:
    """As conftest.py has it; pytest has no name to import it by."""
    spec = importlib.util.spec_from_file_location("tests_conftest", TESTS / "conftest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[str, ...] = module.LONGEST
    return found


def test_every_file_that_is_to_go_first_is_there() -> None:
    assert [name for name in longest() if not (TESTS / "lab" / name).is_file()] == []


def test_pure_tests_come_first_and_then_the_longest_of_the_lab() -> None:
    given = ["lab/test_signals.py", f"lab/{longest()[1]}", "unit/test_capture.py", f"lab/{longest()[0]}"]
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([*argv, *given], cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    files = dict.fromkeys(re.findall(r"^(?:tests/)?(\S+?)::", done.stdout, re.MULTILINE))
    assert list(files) == [given[2], given[3], given[1], given[0]]
