"""Where runs are written: a new directory each, whatever stands where it was to be, and whoever else begins one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shutdownlab import library
from shutdownlab.cli import app
from shutdownlab.config.problems import BadInput
from shutdownlab.results.directory import RunDirectory
from shutdownlab.results.holding import hold
from shutdownlab.results.place import new_directory, usable

SCENARIO = library.load("first-shutdown").scenario
RUN_0_1 = Path(__file__).parent.parent / "data/run-0.1"


def test_runs_that_begin_in_the_same_second_have_directories_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_directory(SCENARIO), range(24)))
    assert len(set(made)) == 24
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(path.name for path in made)


def test_where_somebody_else_s_runs_are_one_is_told_how_to_have_results_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(BadInput) as refused:
        new_directory(SCENARIO)
    [problem] = refused.value.problems
    assert problem.found == "runs, in which no file can be created (permission denied)"
    assert problem.hint.startswith("without --out, results go to runs here")


def test_of_two_runs_that_begin_in_one_directory_the_second_is_refused_and_takes_nothing(tmp_path: Path) -> None:
    with RunDirectory(tmp_path):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(FileExistsError):
            RunDirectory(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pipe", "pipe, which is not a directory"),
        ("file", "file, which is not a directory"),
        ("file/run", "file/run, which cannot be created (not a directory)"),
        ("dangling", "dangling, a link to a path that does not exist"),
        ("circle/run", "circle/run, which cannot be created (too many levels of symbolic links)"),
        ("n" * 300, f"{'n' * 300}, which cannot be created (file name too long)"),
        ("/proc/run", "/proc/run, which cannot be created (no such file or directory)"),
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
        usable(Path(name))
    assert [problem.found for problem in refused.value.problems] == [found]


def test_a_link_to_a_directory_and_one_that_is_empty_are_as_good_as_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert usable(tmp_path / "link") == tmp_path / "link"
    assert [path.name for path in tmp_path.iterdir()] == ["link"], "the attempt to write leaves nothing"


# --- in place of another ---


def a_run(place: Path) -> Path:
    """A directory as a run leaves it, with its logs, captures and links in them."""
    shutil.copytree(RUN_0_1, place)
    for name in ("logs/services", "logs-2", "pcap", "observations/cdn"):
        (place / name).mkdir(parents=True)
    (place / "logs/services/nginx.log").touch()
    (place / "pcap/gateway.pcapng").touch()
    (place / "observations/cdn/ZZ.csv").touch()
    (place / "readings.csv").touch()
    return place


def everything(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def refusal(directory: Path) -> str:
    """Why `--force` does not replace this directory; checks that nothing of it is touched."""
    before = everything(directory)
    with pytest.raises(BadInput) as refused:
        usable(directory, force=True)
    assert everything(directory) == before
    (problem,) = refused.value.problems
    assert problem.hint == "--force replaces only the directory of a run; choose another name"
    return problem.found.removeprefix(f"{directory}, ")


def test_force_replaces_a_run_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    place = a_run(tmp_path / "run")
    assert usable(place, force=True) == place
    assert list(place.iterdir()) == []


def test_without_force_a_run_is_kept_and_force_is_named(tmp_path: Path) -> None:
    place = a_run(tmp_path / "run")
    before = everything(place)
    with pytest.raises(BadInput, match=r"choose another name, or replace that run with --force"):
        usable(place)
    assert everything(place) == before


def test_force_goes_through_a_link_to_a_run_but_follows_none_that_is_in_it(tmp_path: Path) -> None:
    place = a_run(tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    shutil.rmtree(place / "pcap")
    (place / "pcap").symlink_to(other)
    (place / "logs/elsewhere").symlink_to(other)
    (tmp_path / "link").symlink_to(place)
    usable(tmp_path / "link", force=True)
    assert (list(place.iterdir()), list(other.iterdir())) == ([], [other / "kept"])


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"manifest_version": 3, "name": "an extension"}', "\xff"])
def test_force_replaces_nothing_whose_manifest_is_not_ours(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.encode("latin-1"))
    (tmp_path / "logs").mkdir()
    assert refusal(tmp_path) == "which is not the directory of a run: it has no manifest.json of shutdownlab"


def test_force_replaces_no_results_without_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("my,own\n")
    assert refusal(tmp_path) == "which is not the directory of a run: it has no manifest.json of shutdownlab"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["notes.txt"], "which holds notes.txt too, which is not a file of a run"),
        (
            ["thesis", "logs-old", "events.jsonl~"],
            "which holds events.jsonl~ and 2 more too, which is not a file of a run",
        ),
    ],
)
def test_force_replaces_no_run_that_somebody_has_put_something_beside(
    tmp_path: Path, names: list[str], found: str
) -> None:
    place = a_run(tmp_path / "run")
    for name in names:
        (place / name).touch()
    assert refusal(place) == found


def test_force_replaces_no_run_that_still_goes_on(tmp_path: Path) -> None:
    place = a_run(tmp_path / "run")
    with hold(place):
        assert refusal(place) == "where a run is still in progress"
    usable(place, force=True)


def test_force_without_a_directory_is_refused() -> None:
    done = CliRunner().invoke(app, ["run", "first-shutdown", "--force"])
    assert done.exit_code == 2
    assert "--force: found no --out; expected --out DIR" in done.output


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
    assert done.stderr.startswith("the working directory: found a directory that was removed; expected one that exists")
