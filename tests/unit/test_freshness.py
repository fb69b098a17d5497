"""A checkout's compiled modules count only until a source is edited: on a copy with one that is no machine code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from shutdownlab.inspection import freshness

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy whose module `words` seems compiled, stamped as fresh."""
    shutil.copytree(ROOT / "shutdownlab", tmp_path / "shutdownlab", ignore=shutil.ignore_patterns("*.so"))
    suffix = EXTENSION_SUFFIXES[0]
    (tmp_path / f"shutdownlab/inspection/words{suffix}").write_text("no machine code")
    (tmp_path / f"shutdownlab/inspection/.compiled{suffix}").write_text(f"{freshness.fingerprint()} json\n")
    return tmp_path


def where_from(checkout: Path) -> str:
    """The file that `words` is imported from, or why it can't be."""
    code = "from shutdownlab.inspection import words; print(words.__file__)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False)
    return ended.stdout.strip() or ended.stderr


def test_a_compiled_module_counts_while_its_sources_are_as_they_were(checkout: Path) -> None:
    assert "ImportError" in where_from(checkout)


def test_an_edited_source_is_what_runs(checkout: Path) -> None:
    with (checkout / "shutdownlab/inspection/engine.py").open("a") as source:
        source.write("# edited\n")
    assert where_from(checkout) == str(checkout / "shutdownlab/inspection/words.py")


def test_compiled_modules_of_another_environment_do_not_count(checkout: Path) -> None:
    [stamp] = (checkout / "shutdownlab/inspection").glob(".compiled*")
    stamp.write_text(f"{freshness.fingerprint()} a_library_that_is_not_installed_here\n")
    assert where_from(checkout) == str(checkout / "shutdownlab/inspection/words.py")
