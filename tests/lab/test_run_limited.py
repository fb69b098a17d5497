"""Runs and labs in which something runs out: told before anything is started, or where it runs out; nothing is lost."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from pathlib import Path

import outside
import pytest
from invocation import Done, Record, finished, invoke, shutdownlab, small, under_way, wait_for_event

from shutdownlab import library
from shutdownlab.country.limits import needed

NEEDS = needed(library.network("two-operators"), cells=18 * 3)
ENOUGH = {
    "-n": NEEDS.descriptors,
    "-f": -(-NEEDS.file_bytes // 1024),
    "-v": -(-NEEDS.address_bytes // 1024),
}
"""By ulimit's option, in its units."""


def limited(place: Path, limits: str, command: str, user: str = "same") -> Done:
    """The command in `place`, with limits set by a shell, and both its streams."""
    argv, env = shutdownlab(user, place)
    *become, python = argv[:-2]
    run = ["bash", "-c", f'{limits}; exec "$@" {command}', "bash", python, *argv[-2:]]
    done = subprocess.run([*become, *run], cwd=place, env=env, capture_output=True, text=True, timeout=180, check=False)
    return Done(done.returncode, done.stdout + done.stderr)


@pytest.mark.parametrize("option", ENOUGH)
@pytest.mark.parametrize("command", ["run first-shutdown --out run", "exec two-operators --from southcell/coast true"])
def test_a_limit_that_is_too_low_is_reported_before_anything_is_started(
    tmp_path: Path, option: str, command: str
) -> None:
    done = limited(tmp_path, f"ulimit {option} {ENOUGH[option] // 2}", command)
    assert done.code == 2
    problem, hint, count = done.output.splitlines()
    assert problem.startswith(f"ulimit {option}: found {ENOUGH[option] // 2:,} ")
    assert hint.startswith(f"    hint: ulimit {option} ")
    assert count == "1 problem found; the command stopped."
    assert not (tmp_path / "run").exists()


def test_an_ordinary_user_is_told_of_too_few_processes_and_what_others_of_his_use_counts(tmp_path: Path) -> None:
    done = limited(tmp_path, f"ulimit -u {NEEDS.processes - 1}", "run first-shutdown --out run", user="ordinary")
    assert done.code == 2
    assert "ulimit -u: found room for " in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_what_it_says_is_enough_is_enough(tmp_path: Path) -> None:
    limits = "; ".join(f"ulimit {option} {most}" for option, most in ENOUGH.items())
    done = limited(tmp_path, limits, f"run {small(tmp_path)} --out run")
    assert done.code == 0, done.output
    assert Record(tmp_path / "run").manifest["status"] == "finished"


def on_a_small_disk(place: Path, mebibytes: int, command: str) -> Done:
    """The command with a new file system of that size in `place`, its directory `small`."""
    (place / "small").mkdir()
    mount = f"mount -t tmpfs -o size={mebibytes}m none small"
    argv, env = shutdownlab("same", place)
    outer = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*outer, "bash", "-c", f'{mount} && "$@" {command}', "bash", *argv],
        cwd=place, env=env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout + done.stderr)


def test_a_disk_without_room_for_the_record_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, 8, "run first-shutdown --out small/run; code=$?; ls small; exit $code")
    assert done.code == 2
    assert done.output.startswith("--out: found a disk with 8,192 KiB free; expected at least ")
    assert done.output.endswith("1 problem found; the command stopped.\n"), "and `ls` has nothing to tell"


@pytest.mark.thorough
def test_a_disk_that_fills_up_ends_a_run_that_says_so_and_keeps_its_whole_phases(tmp_path: Path) -> None:
    watch = "until grep -sq confirmed.*blackout small/run/events.jsonl; do sleep 0.1; done; cat /dev/zero >small/fill"
    see = "; code=$?; rm small/fill; cp -r small/run .; exit $code"
    done = on_a_small_disk(tmp_path, 64, f"run {small(tmp_path)} --out small/run & ({watch}) 2>&-; wait %1{see}")
    assert done.code == 3, done.output
    assert done.output.count("The run broke off:") == 1
    assert "No space left on device" in done.output
    assert "Traceback" not in done.output
    assert_kept(tmp_path)


@pytest.mark.thorough
def test_a_file_that_grows_beyond_the_limit_ends_a_run_that_names_the_limit(tmp_path: Path) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        (worker,) = [pid for pid in outside.descendants(process.pid) if outside.names(pid) == "lab-worker"]
        most = (record.path / "measurements.jsonl").stat().st_size + 4096
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (most, most))
        done = finished(process)
    assert done.code == 3, done.output
    assert "File too large" in done.output
    assert f"(`ulimit -f` is {most >> 10:,} KiB per file)" in done.output
    assert "Traceback" not in done.output
    assert_kept(tmp_path)


def assert_kept(place: Path) -> None:
    """The phase before the one in which something ran out can be read, and the run goes on from there."""
    record = Record(place / "run")
    assert {row["phase"] for row in record.rows if row["phase"] in record.manifest["rows"]} == {"baseline"}
    done = invoke(place, "report", "run")
    assert done.code == 0
    assert re.search("The run (broke off|was killed); this is what it had measured by then.", done.output)
    done = invoke(place, "resume", "run")
    assert done.code == 0, done.output
    assert "All 54 expectations met." in done.output
