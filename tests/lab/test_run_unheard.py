"""A run, a lab and a command in it whose output goes nowhere: its reader has gone, or the disk is full."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tiny
from invocation import Record, shutdownlab, small

NO_SPACE = "standard output cannot be written: no space left on device"


def unheard(place: Path, command: str, streams: str) -> subprocess.CompletedProcess[str]:
    """The command in `place`, its streams as a shell sets them."""
    argv, env = shutdownlab("same", place)
    line = f'exec {streams}; "$@" {command}'
    return subprocess.run(
        ["bash", "-c", line, "bash", *argv],
        cwd=place, env=env, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("streams", "told"),
    [
        (">/dev/full", f"note: {NO_SPACE}; the record is in run\n"),
        pytest.param(
            "> >(true)",
            "note: standard output cannot be written: broken pipe; the record is in run\n",
            marks=pytest.mark.thorough,
        ),
        pytest.param("<&- >&-", "", marks=pytest.mark.thorough),
        pytest.param(">/dev/full 2>/dev/full", "", marks=pytest.mark.thorough),
    ],
    ids=["full", "unread", "closed", "both full"],
)
def test_a_run_goes_on_without_its_output_and_says_so_at_its_end(tmp_path: Path, streams: str, told: str) -> None:
    done = unheard(tmp_path, f"run {small(tmp_path)} --until baseline --out run", streams)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", told)
    record = Record(tmp_path / "run")
    assert record.manifest["status"] == "finished"
    assert len(record.rows) == record.manifest["cells"] > 0


def test_a_run_goes_on_without_whoever_reads_its_events(tmp_path: Path) -> None:
    done = unheard(tmp_path, f"run {small(tmp_path)} --until baseline --out run --events /dev/full", ">/dev/null")
    assert done.returncode == 0
    assert done.stderr == "note: events cannot be written to /dev/full: no space left on device; the record is in run\n"
    assert Record(tmp_path / "run").manifest["status"] == "finished"


@pytest.mark.parametrize(
    ("streams", "code", "told"),
    [pytest.param(">/dev/full", 74, f"{NO_SPACE}\n", marks=pytest.mark.thorough), ("> >(true)", 141, "")],
    ids=["full", "unread"],
)
def test_a_lab_goes_on_to_its_end_and_ends_as_other_commands_do(
    tmp_path: Path, streams: str, code: int, told: str
) -> None:
    tiny.written(tmp_path, "southcell")
    done = unheard(tmp_path, "lab tiny.yaml <<<'sh touch here\nhelp\nexit'", streams)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.endswith(told)
    assert (tmp_path / "here").exists()


def test_a_command_in_the_country_meets_its_output_s_fate_itself(tmp_path: Path) -> None:
    tiny.written(tmp_path, "southcell")
    run = "exec tiny.yaml --from southcell/capital -- "
    done = unheard(tmp_path, run + "seq 100000", "> >(true)")
    assert (done.returncode, done.stderr) == (141, "")
    done = unheard(tmp_path, run + "seq 9", ">/dev/full")
    assert (done.returncode, done.stderr) == (1, "seq: write error: No space left on device\n")


@pytest.mark.parametrize(("streams", "code"), [(">/dev/full", 74), ("> >(true)", 141), (">&-", 0)])
def test_doctor_ends_as_other_commands_do(tmp_path: Path, streams: str, code: int) -> None:
    done = unheard(tmp_path, "doctor", streams)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
