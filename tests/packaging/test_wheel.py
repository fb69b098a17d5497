"""The wheel as it is built here, in an environment of what an installed shutdownlab needs and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
Invoke = Callable[..., str]


@pytest.fixture(
    scope="module", params=[False, pytest.param(True, marks=pytest.mark.thorough)], ids=["pure", "compiled"]
)
def compiled(request: pytest.FixtureRequest) -> bool:
    """Whether the wheel's engine is to be compiled: minutes of gcc."""
    return bool(request.param)


@pytest.fixture(scope="module")
def wheel(compiled: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, with what is locked for building."""
    place = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, place / "source", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, "./source"]
    way = {"MYPYC_OPT_LEVEL": "0", "SHUTDOWNLAB_PURE": "0" if compiled else "1"}
    subprocess.run(command, cwd=place, env=os.environ | way, check=True)
    [built] = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def invoke(wheel: Path, environment: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Invoke:
    """Runs a program of the environment that the wheel is installed in, elsewhere than in the checkout; its output."""
    python, elsewhere = environment("runtime"), tmp_path_factory.mktemp("elsewhere")
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program: str, *arguments: str | Path) -> str:
        argv = [python.parent / program, *arguments]
        done = subprocess.run(argv, cwd=elsewhere, env=ours, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel)
    return run


def test_all_that_the_sources_have_is_in_it(wheel: Path) -> None:
    folders = {"shutdownlab": "shutdownlab"} | {
        name: f"shutdownlab/{name}" for name in ("topologies", "controllers", "scenarios")
    }
    sources = {
        f"{packed}/{file.relative_to(ROOT / folder)}"
        for folder, packed in folders.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix not in {".pyc", ".so"}
    }
    assert len(sources) > 150
    assert sources - set(ZipFile(wheel).namelist()) == set()


def test_all_that_it_needs_is_there(invoke: Invoke) -> None:
    assert invoke("python", "-m", "pip", "check") == "No broken requirements found.\n"


def test_its_engine_is_compiled_unless_asked_not_to(invoke: Invoke, compiled: bool) -> None:
    assert invoke("python", "-c", "from shutdownlab.inspection import words; print(words.COMPILED)") == f"{compiled}\n"


def test_it_ships_scenarios_and_countries(invoke: Invoke) -> None:
    listed = invoke("shutdownlab", "list")
    assert {"kazakhstan-2022", "first-shutdown", "two-operators"} <= set(listed.split())
    invoke("shutdownlab", "check", "kazakhstan-2022")


def test_it_runs_a_scenario(invoke: Invoke, tmp_path: Path) -> None:
    assert "expectations met" in invoke(
        "shutdownlab", "run", "first-shutdown", "--until", "messenger", "--out", tmp_path / "run"
    )
    assert (tmp_path / "run" / "results.csv").exists()
