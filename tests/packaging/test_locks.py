"""What is installed is what was locked, and what is locked is what pyproject.toml asks for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
RUNTIME = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
OWN = Requirement(next(each for each in EXTRAS["dev"] if each.startswith("shutdownlab[")))
DEV = RUNTIME + [each for each in EXTRAS["dev"] if Requirement(each).name != OWN.name]
DEV += [each for extra in sorted(OWN.extras) for each in EXTRAS[extra]] + PROJECT["build-system"]["requires"]


def applies(requirement: Requirement, python: str) -> bool:
    environment = default_environment() | {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def locked(lock: str, python: str) -> dict[str, str]:
    """The version of every package that a lock installs on a Python of Linux."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    pins = [Requirement(line.removesuffix("\\")) for line in lines if re.match(r"[a-z]", line)]
    applying = [pin for pin in pins if applies(pin, python)]
    assert all(str(pin.specifier).startswith("==") for pin in applying)
    found = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in applying}
    assert len(found) == len(applying), "a package is there twice"
    return found


def unmet(asked: list[str], lock: str) -> Iterator[str]:
    """Every requirement that a lock misses, on any Python."""
    for python in PYTHONS:
        pins = locked(lock, python)
        for requirement in filter(lambda each: applies(each, python), map(Requirement, asked)):
            found = pins.get(canonicalize_name(requirement.name))
            if found is None or not requirement.specifier.contains(found, prereleases=True):
                yield f"{requirement} on Python {python}: locked is {found}; make lock"


def test_the_locks_hold_all_that_the_project_asks_for() -> None:
    assert [*unmet(RUNTIME, "runtime"), *unmet(DEV, "dev")] == []


def test_the_lowest_versions_that_are_tested_are_the_lower_bounds_of_all_that_runs_and_builds() -> None:
    """One bound a package, whoever asks for it: pip could not install what builds beside what runs otherwise."""
    optional = [each for extra, several in EXTRAS.items() if extra != "dev" for each in several]
    asked = RUNTIME + optional + PROJECT["build-system"]["requires"]
    command = [sys.executable, ROOT / "scripts" / "lowest", "bounds"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    tested = [(canonicalize_name(pin.name), str(pin.specifier)) for pin in map(Requirement, told)]
    assert len(tested) == len(asked)
    for requirement, (name, pinned) in zip(map(Requirement, asked), tested, strict=True):
        (lower,) = [each.version for each in requirement.specifier if each.operator == ">="]
        assert (name, pinned.removeprefix("==").removesuffix(".*")) == (canonicalize_name(requirement.name), lower)
    assert len(dict(tested)) == len(set(tested)), "a package has two bounds"


def test_tools_of_development_are_put_beside_what_is_tested_and_do_not_lift_it() -> None:
    command = [sys.executable, ROOT / "scripts" / "lowest", "tools"]
    pins = "rich==13.5.0\n    # via shutdownlab\npyopenssl==25.1.0\npackaging==24.0\n"
    told = subprocess.run(command, input=pins, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["rich==13.5.0", "pyopenssl==25.1.0"]  # packaging: a tool's own bound is tested, too


@pytest.mark.parametrize("lock", ["oonidata", "uv", "bootstrap"])
def test_the_locks_of_tools_hold_what_they_ask_for(lock: str) -> None:
    asked = (ROOT / "requirements" / f"{lock}.in").read_text().splitlines()
    assert [*unmet(asked, lock)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_what_runs_is_developed_with_the_same_versions(python: str) -> None:
    developed_with = locked("dev", python)
    for lock in ("runtime", "bootstrap"):
        assert locked(lock, python).items() <= developed_with.items()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    for pin in re.findall(r"^[a-z].*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin


def test_what_is_installed_here_is_what_is_locked() -> None:
    wrong = {}
    for name, pinned in locked("dev", f"{sys.version_info.major}.{sys.version_info.minor}").items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "nothing"
        if installed != pinned:
            wrong[name] = f"{installed} is installed, {pinned} is locked"
    assert wrong == {}, "make setup"
