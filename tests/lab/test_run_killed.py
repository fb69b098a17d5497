"""A run in a directory of a strange name; and one of which a process is killed: its record says so, and it goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import outside
import pytest
from invocation import Record, finished, invoke, small, under_way, wait_for_event

from shutdownlab.results.run import Run


def test_a_directory_may_be_called_anything(tmp_path: Path) -> None:
    name = 'a "b" $uri;\n{c} \\é\x01'
    done = invoke(tmp_path, "run", small(tmp_path), "--until", "baseline", "--out", name)
    assert done.code == 0, done.output
    assert Record(tmp_path / name).manifest["status"] == "finished"


@pytest.mark.thorough
@pytest.mark.parametrize("victim", ["lab-gate", "lab-init", "the command"])
def test_whatever_process_of_a_run_is_killed_its_record_says_so_and_it_goes_on_from_there(
    tmp_path: Path, victim: str
) -> None:
    with under_way(tmp_path, small(tmp_path)) as (process, record):
        wait_for_event(process, record, "confirmed", "blackout")
        family = outside.descendants(process.pid)
        spaces = outside.namespaces(family)
        (pid,) = [each for each in family if outside.names(each) == victim] or [process.pid]
        os.kill(pid, signal.SIGKILL)
        done = finished(process)
    if victim == "the command":
        assert done.code == -signal.SIGKILL
    else:
        assert done.code == 3
        assert "The run was killed by SIGKILL. What was measured until then is in run." in done.output
        assert record.manifest["status"] == "killed"
    outside.wait_until(lambda: Run.open(record.path).status == "killed", "the end of who held the run")
    outside.wait_until(lambda: not outside.in_namespaces(spaces), "the end of every process of the run")
    assert {row.phase for row in Run.open(record.path).results} == {"baseline"}

    done = invoke(tmp_path, "resume", "run")
    assert done.code == 0, done.output
    assert "All 54 expectations met." in done.output
