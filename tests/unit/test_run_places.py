"""Where runs are written: a new directory each, whatever stands where it was to be, and whoever else begins one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shutdownlab import library
from shutdownlab.config.document import BadInput
from shutdownlab.results.directory import RunDirectory
from shutdownlab.runner import launch

SCENARIO = library.load("first-shutdown").scenario


def test_runs_that_begin_in_the_same_second_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: launch._new_directory(SCENARIO), range(24)))
    assert len(set(made)) == 24
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(path.name for path in made)


def test_of_two_runs_that_begin_in_one_directory_the_second_is_refused_and_takes_nothing(tmp_path: Path) -> None:
    with RunDirectory(tmp_path):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(FileExistsError):
            RunDirectory(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pipe", "pipe, which is no directory"),
        ("file", "file, which is no directory"),
        ("file/run", "file/run, which cannot be made (not a directory)"),
        ("dangling", "dangling, a link to what is not there"),
        ("circle/run", "circle/run, which cannot be made (too many levels of symbolic links)"),
        ("n" * 300, f"{'n' * 300}, which cannot be made (file name too long)"),
        ("/proc/run", "/proc/run, which cannot be made (no such file or directory)"),
        ("used", "used, which holds the results of a run"),
        ("used-link", "used-link, which holds the results of a run"),
        ("begun", "begun, which holds the results of a run"),
    ],
)
def test_what_cannot_be_a_run_s_directory_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    Path("circle").symlink_to("circle")
    Path("used").mkdir()
    Path("used/manifest.json").touch()
    Path("used-link").symlink_to("used")
    Path("begun").mkdir()
    Path("begun/results.csv").touch()
    with pytest.raises(BadInput) as refused:
        launch.usable(Path(name))
    assert [problem.found for problem in refused.value.problems] == [found]


def test_a_link_to_a_directory_and_one_that_is_empty_are_as_good_as_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert launch.usable(tmp_path / "link") == tmp_path / "link"
    assert [path.name for path in tmp_path.iterdir()] == ["link"], "the attempt to write leaves nothing"


@pytest.mark.parametrize("command", [["list"], ["check", "first-shutdown"], ["run", "first-shutdown"], ["doctor"]])
def test_a_working_directory_that_has_been_removed_is_a_mistake_and_no_bug(tmp_path: Path, command: list[str]) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    code = f"import os; os.rmdir({str(place)!r}); import sys; from shutdownlab.cli import main; main()"
    paths = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=place, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("the working directory: found one that has been removed; expected one that is there")
