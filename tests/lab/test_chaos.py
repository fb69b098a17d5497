"""`tests.chaos` that is told to end takes its run with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import outside
import pytest
from invocation import Record, small


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_chaos_ends_its_run_which_is_not_counted(tmp_path: Path, number: signal.Signals) -> None:
    scenario, out = small(tmp_path), tmp_path / "out"
    run = out / "reference" / "run"
    run.mkdir(parents=True)  # so that it does not run the scenario first
    (out / "reference" / "processes.json").write_text('["nginx"]')
    (run / "events.jsonl").write_text(json.dumps({"event": "confirmed", "phase": "baseline"}) + "\n")
    (run / "results.csv").write_text("phase,operator,region,subscriber,target,family,outcome\n")
    argv = [sys.executable, "-m", "tests.chaos", "--faults=2", "--seed=3", "--action=cut", f"--out={out}"]
    chaos = subprocess.Popen([*argv, f"--scenario={scenario}"], cwd=outside.ROOT, start_new_session=True)
    try:
        record = Record(out / "3-0" / "run")
        outside.wait_until(lambda: (record.path / "events.jsonl").exists(), "the beginning of a run", 180.0)
        outside.wait_until(lambda: record.events_of("built"), "a country", 180.0)
        spaces = outside.namespaces(outside.descendants(chaos.pid))
        assert outside.in_namespaces(spaces)
        chaos.send_signal(number)
        chaos.wait(60)
    finally:
        chaos.kill()
        chaos.wait()
    outside.wait_until(lambda: not outside.in_namespaces(spaces), "the end of every process of the run")
    assert not (out / "suffered-3.jsonl").exists() or not (out / "suffered-3.jsonl").read_text()
    assert not (out / "3-1").exists()
