"""A checkout's compiled modules count only until a source is edited: on a copy with one that is no machine code."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from types import ModuleType

import pytest

from shutdownlab.inspection import actions, compiled, recognisers, words

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Sources like ours, beside an environment in which `words` and a recogniser seem compiled of them."""
    shutil.copytree(ROOT / "shutdownlab", tmp_path / "shutdownlab")
    edit(tmp_path, "words.py")
    place = tmp_path / "environment" / compiled.package(tmp_path / "shutdownlab/inspection")
    (place / "recognisers").mkdir(parents=True)
    for module in ("words", "recognisers/tls"):
        (place / f"{module}{EXTENSION_SUFFIXES[0]}").write_text("no machine code")
    return tmp_path


def edit(checkout: Path, file: str) -> None:
    with (checkout / "shutdownlab/inspection" / file).open("a") as source:
        source.write("# edited\n")


def where_from(checkout: Path, module: str) -> str:
    """The file that a module is imported from, or the last line of why it can't be."""
    code = f"import importlib; print(importlib.import_module('shutdownlab.inspection.{module}').__file__)"
    environment = os.environ | {"PYTHONPATH": str(checkout / "environment")}
    ended = subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment, capture_output=True, text=True)
    return (ended.stdout or ended.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize("module", ["words", "recognisers.tls"])
def test_a_compiled_module_counts_while_its_sources_are_as_they_were(checkout: Path, module: str) -> None:
    [place] = (checkout / "environment").iterdir()
    file = place / f"{module.replace('.', '/')}{EXTENSION_SUFFIXES[0]}"
    assert where_from(checkout, module) == f"ImportError: {file}: file too short"


@pytest.mark.parametrize("edited", ["engine.py", "recognisers/http.py"])
def test_an_edited_source_is_what_runs(checkout: Path, edited: str) -> None:
    edit(checkout, edited)
    assert where_from(checkout, "words") == str(checkout / "shutdownlab/inspection/words.py")
    assert where_from(checkout, "recognisers.tls") == str(checkout / "shutdownlab/inspection/recognisers/tls.py")


def test_what_is_compiled_for_another_python_does_not_count(checkout: Path) -> None:
    for module in (checkout / "environment").rglob(f"*{EXTENSION_SUFFIXES[0]}"):
        module.rename(module.with_name(module.name.replace("cpython", "another")))
    assert where_from(checkout, "words") == str(checkout / "shutdownlab/inspection/words.py")


@pytest.mark.parametrize("package", [actions, recognisers], ids=lambda package: package.__name__)
def test_the_engines_packages_are_looked_for_where_the_engine_is(package: ModuleType) -> None:
    assert [Path(folder).parent for folder in package.__path__] == [Path(f) for f in compiled.search_path()]


@pytest.mark.skipif(not words.COMPILED, reason="the engine is not compiled here: SHUTDOWNLAB_PURE=1, or sources edited")
def test_all_that_was_compiled_is_what_runs() -> None:
    modules = [*Path(compiled.search_path()[0]).rglob(f"*{EXTENSION_SUFFIXES[0]}")]
    assert len(modules) > 30
    for file in modules:
        name = ".".join(file.relative_to(compiled.search_path()[0]).parts).removesuffix(EXTENSION_SUFFIXES[0])
        package, _, module = f"shutdownlab.inspection.{name}".rpartition(".")
        # As it would be found: what is imported already may say that it is somewhere else.
        spec = PathFinder.find_spec(module, importlib.import_module(package).__path__)
        assert spec is not None and spec.origin == str(file)
