"""What tests/conftest.py does for all: the longest files go first, and sessions stay apart."""

from __future__ import annotations

import importlib.util
import re
import stat
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


def test_a_session_that_a_test_starts_leaves_our_temporary_files_open_to_whom_they_were(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path): pass\n")
    above = next(folder for folder in tmp_path.parents if folder.name.startswith("pytest-of-"))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_it.py"]
    for _ in range(5):
        former, sessions = above.stat().st_mode, set(above.iterdir())
        above.chmod(former | stat.S_IXOTH)
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        after = above.stat().st_mode
        above.chmod(former)
        if set(above.iterdir()) == sessions:
            break  # otherwise another session of the user's has begun, and closes the folder too
    assert done.returncode == 0, done.stdout + done.stderr
    assert after == former | stat.S_IXOTH
