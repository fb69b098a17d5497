"""Shared by all tests: their order, the project's other environments; and hypothesis: it prints its seeds, and has no
deadlines."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import shutdownlab as sl

ROOT = Path(__file__).parents[1]

settings.register_profile("default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

gc.set_threshold(100_000)
"""As of the command line: to look through what tests load every 700 objects took a twentieth of their CPU time."""


LONGEST = (
    "test_run_broken.py", "test_run.py", "test_run_faults.py", "test_run_tools.py", "test_cli.py",
    "test_web_in_a_browser.py", "test_sandbox.py", "test_controllers.py", "test_run_own_files.py", "test_prompt.py",
    "test_interception.py", "test_profiles_on_the_wire.py", "test_differential.py", "test_readme_in_a_country.py",
    "test_probes.py", "test_run_limited.py",
    "test_lab_surroundings.py", "test_run_confined.py", "test_run_and_inspect_on_the_wire.py", "test_lab_door.py",
    "test_run_door.py", "test_remembered_on_the_wire.py", "test_run_killed.py", "test_web_growth.py",
    "test_run_sampled.py", "test_ipv6_only_on_the_wire.py", "test_change_confirmed.py", "test_censored_planet.py",
    "test_run_watched.py", "test_run_inspected.py", "test_withdrawals.py", "test_late_resolvers.py",
    "test_ipv4_only_on_the_wire.py", "test_anycast_on_the_wire.py", "test_cables_of_a_lower_mtu.py",
    "test_two_gateways_on_the_wire.py",
)  # fmt: skip
"""Files of tests/lab that take 20 s or more of a worker, the longest first: what is begun last should be short, or
one worker has it to itself in the end. `make test-all PYTEST_ARGS=--durations=60` tells which they are."""


def pytest_collection_finish() -> None:
    """Ignore SIGPIPE again, as Python does: mrtparse gives it the default when it is imported, and whatever then writes
    to a socket that is closed at the other end would end this process, with all its tests and without a word.

    The half million objects of all tests are put beyond the garbage collector: to look through them takes 0.7 s on a
    slow machine, and whichever test it happened in was told to be slow."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pure tests first, as they are named; then those of tests/lab, the longest files first."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.path.parent != ROOT / "tests" / "lab":
        return -1
    return LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _sessions_that_tests_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give every pytest that a test runs a place of its own for temporary files.

    A session that begins closes that of its user to all others; ours has files of an ordinary user's in it.
    """
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="session")
def environment() -> Callable[[str], Path]:
    """The Python of an environment that scripts/environment makes, by its name.

    Skips the test where this machine can't have it; where it could not be installed, in CI that is a failure.
    """

    def python_of(name: str) -> Path:
        made = subprocess.run([ROOT / "scripts/environment", name], capture_output=True, text=True, check=False)
        if made.returncode == 3 or (made.returncode != 0 and not os.environ.get("CI")):
            pytest.skip(made.stderr)
        assert made.returncode == 0, made.stderr
        return Path(made.stdout.strip())

    return python_of


@pytest.fixture(scope="session")
def flagship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of kazakhstan-2022 as it was verified, once for all files of a worker. Nobody writes there."""
    folder = tmp_path_factory.mktemp("flagship") / "run"
    sl.verify("kazakhstan-2022").write(folder)
    return folder


@pytest.fixture(scope="session")
def flagship_page(flagship: Path) -> str:
    """Its report."""
    return sl.report(flagship).html


@pytest.fixture(scope="session")
def run_pytest() -> Callable[..., tuple[int, str]]:
    """Runs pytest, with our plugin, in a folder of its own; returns its exit status and output."""
    installed = any(point.value == "shutdownlab.pytest_plugin" for point in entry_points(group="pytest11"))
    others = ("cacheprovider", "xdist", "hypothesispytest", "anyio")  # importing them is a third of such a run
    plugins = [word for name in others for word in ("-p", f"no:{name}")]
    plugins += [] if installed else ["-p", "shutdownlab.pytest_plugin"]

    def run(folder: Path, *arguments: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", "pytest", *plugins, *arguments]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
        return done.returncode, done.stdout + done.stderr

    return run
