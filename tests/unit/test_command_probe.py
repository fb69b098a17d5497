"""A user's program as a probe, run for real: what its exit status and its output come to."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shutdownlab import library
from shutdownlab.measure.requests import request_at
from shutdownlab.model.probe import Family, Surroundings, probe
from shutdownlab.model.scenario import Outcome
from shutdownlab.probes import program
from shutdownlab.probes.equipment import Equipment
from shutdownlab.probes.run import run_probe
from shutdownlab.protocol.probing import Measurement
from shutdownlab.system.processor import ProgramWaitedTime, WaitedTimes

NETWORK = library.network("two-operators")
TIMEOUT = "generic_timeout_error"


def run(argv: list[str], folder: Path, **fields: Any) -> Measurement:
    kind = probe("command", command=argv, **fields)
    vantage = NETWORK.vantages[0]
    at = Surroundings(NETWORK, vantage, Family.IPV4, "blackout", folder=folder)
    return asyncio.run(run_probe(request_at(kind, "mine", at, ""), Equipment()))


@pytest.mark.parametrize(
    ("script", "outcome", "failure"),
    [
        ("exit 0", Outcome.OK, None),
        ("exit 1", Outcome.BLOCKED, "unknown_failure: exit status 1"),
        ("echo connection_reset; exit 1", Outcome.BLOCKED, "connection_reset"),
        ("echo no route; exit 1", Outcome.BLOCKED, "unknown_failure: exit status 1: no route"),
        ("echo 96 kbit/s; exit 3", Outcome.THROTTLED, "unknown_failure: exit status 3: 96 kbit/s"),
        ("echo oops >&2; exit 2", Outcome.ERROR, "unknown_failure: exit status 2: oops"),
        ("kill -SEGV $$", Outcome.ERROR, "unknown_failure: killed by SIGSEGV"),
        ("kill -40 $$", Outcome.ERROR, "unknown_failure: killed by signal 40"),
        ("exec nothing-of-that-name", Outcome.ERROR, "unknown_failure: exit status 127: "),
    ],
)
def test_the_exit_status_is_the_outcome(tmp_path: Path, script: str, outcome: Outcome, failure: str | None) -> None:
    found = run(["sh", "-c", script], tmp_path)
    assert found.outcome is outcome
    assert (found.failure or "")[: len(failure or "")] == (failure or "")
    assert found.doubtful is (outcome in {Outcome.BLOCKED, Outcome.THROTTLED}), "a busy machine may be slow"


def test_a_tool_with_exit_statuses_of_its_own_says_what_they_mean(tmp_path: Path) -> None:
    meaning = {0: "ok", 28: "blocked", "other": "throttled"}
    outcomes = [run(["sh", "-c", f"exit {n}"], tmp_path, outcomes=meaning).outcome for n in (0, 28, 56)]
    assert outcomes == [Outcome.OK, Outcome.BLOCKED, Outcome.THROTTLED]


def test_the_last_line_is_recorded_and_is_the_value_where_it_is_a_number(tmp_path: Path) -> None:
    found = run(["printf", "hops\\n\\033[1m12.5 ms\\n\\n"], tmp_path)
    assert found.test_keys["x_command"]["line"] == "[1m12.5 ms", "a terminal's control characters are left out"
    found = run(["printf", "hops\\n12.5 ms\\n"], tmp_path)
    assert (found.value, found.unit) == (12.5, "ms")
    assert run(["echo", "12 of 13"], tmp_path).value is None


def test_what_has_left_a_program_s_process_group_and_writes_for_ever_keeps_no_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = count(1)

    def always_more(_fd: int, most: int) -> bytes:
        assert next(reads) < 1_000, "read for ever"
        return b"x" * most

    async def ended() -> None:
        reading, writing = os.pipe()
        output = program._Output(reading)
        monkeypatch.setattr(os, "read", always_more)
        output.close()
        os.close(reading)
        os.close(writing)

    asyncio.run(ended())


def test_a_program_does_not_inherit_what_its_agent_ignores(tmp_path: Path) -> None:
    ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.signal(number, signal.SIG_IGN) for number in ignored]
    try:
        found = run(["grep", "SigIgn", "/proc/self/status"], tmp_path)
        assert [signal.getsignal(number) for number in ignored] == [signal.SIG_IGN] * 3
    finally:
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)
    mask = int(found.test_keys["x_command"]["line"].split(":")[1], 16)
    assert [number for number in ignored if mask >> (number - 1) & 1] == []


def test_a_program_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    found = run(["./mytool"], tmp_path)
    assert found.outcome is Outcome.ERROR
    assert found.failure == f"unknown_failure: ./mytool cannot be started in {tmp_path}: no such file or directory"


def test_a_program_of_the_scenarios_folder_is_found_there(tmp_path: Path) -> None:
    tool = tmp_path / "mytool"
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o755)
    assert run(["./mytool"], tmp_path).test_keys["x_command"]["line"] == str(tmp_path)


def test_a_program_that_does_not_end_is_killed_with_its_children_and_counts_as_blocked(tmp_path: Path) -> None:
    found = run(["sh", "-c", "sleep 600 & echo $! >child; echo waiting; wait"], tmp_path, timeout="2s")
    assert (found.outcome, found.failure, found.doubtful) == (Outcome.BLOCKED, TIMEOUT, True)
    assert found.test_keys["x_command"]["line"] == "waiting"
    with suppress(ProcessLookupError):
        child = os.pidfd_open(int((tmp_path / "child").read_text()))
        assert select.select([child], [], [], 20)[0], "the child goes on"


def test_a_program_that_had_no_processor_is_given_that_time_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends only once its time is over."""
    began = time.monotonic()

    def waited() -> float:
        if (passed := time.monotonic() - began) > 3.0:
            (tmp_path / "over").touch()
        return 1000.0 * passed

    monkeypatch.setattr(program, "ProgramWaitedTime", lambda pid: SimpleNamespace(read=waited))
    found = run(["sh", "-c", "until test -e over; do sleep 0.05; done"], tmp_path, timeout="3s")
    assert found.outcome is Outcome.OK


def test_what_is_late_because_its_program_has_no_processor_says_nothing_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "ProgramWaitedTime", lambda pid: SimpleNamespace(read=lambda: 1000.0))
    late = run(["sleep", "600"], tmp_path, timeout="1s")
    assert (late.outcome, late.failure) == (Outcome.BLOCKED, TIMEOUT)
    assert late.starved == "its prober had no processor for 100 % of the time: this machine is busy, or has frozen it"
    assert [run(["sh", "-c", f"exit {status}"], tmp_path).starved for status in (0, 1)] == ["", ""]


@pytest.mark.parametrize(("status", "outcome"), [(0, Outcome.OK), (3, Outcome.THROTTLED)])
def test_a_speed_that_a_program_tells_bears_a_wait_of_half_its_time(
    status: int, outcome: Outcome, tmp_path: Path
) -> None:
    found = run(["sh", "-c", f"sleep 0.2; exit {status}"], tmp_path)
    assert found.outcome is outcome
    assert found.margin == pytest.approx(found.test_keys["x_command"]["seconds"] / 2, abs=1e-3)


def test_what_a_programs_children_wait_for_their_processor_is_its_own_wait() -> None:
    """Two that never rest, on one processor; the program itself only waits for them."""
    spin = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\nwhile True: pass"
    argv = [sys.executable, "-c", spin]
    script = f"import subprocess; two = [subprocess.Popen({argv}) for _ in '12']; print(1, flush=True); two[0].wait()"
    with (
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, process_group=0) as busy,
        WaitedTimes([busy.pid]) as itself,
    ):
        try:
            assert busy.stdout is not None
            busy.stdout.readline()
            waits = ProgramWaitedTime(busy.pid)
            own, end = itself.read()[0], time.monotonic() + 60
            while waits.read() < own + 0.5 and time.monotonic() < end:
                time.sleep(0.05)
            waited, own = waits.read(), itself.read()[0]
        finally:
            os.killpg(busy.pid, signal.SIGKILL)
    assert waited > own + 0.3
    assert waits.read() == 0.0, "it is no more"


def test_a_program_whose_child_somebody_stops_is_late_by_that_and_says_nothing_of_the_network(tmp_path: Path) -> None:
    late = run(["sh", "-c", "sleep 600 & kill -STOP $!; wait"], tmp_path, timeout="1s")
    assert (late.outcome, late.failure) == (Outcome.BLOCKED, TIMEOUT)
    assert late.starved.startswith("its prober had no processor for ")


def test_what_a_program_leaves_running_does_not_hold_the_probe_up(tmp_path: Path) -> None:
    found = run(["sh", "-c", "sleep 600 & exit 0"], tmp_path)
    assert found.outcome is Outcome.OK
    assert found.runtime < 10


def test_a_flood_of_output_is_read_and_dropped(tmp_path: Path) -> None:
    found = run(["sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' 'x'; echo; echo 7"], tmp_path)
    assert (found.outcome, found.value) == (Outcome.OK, 7.0)


def test_a_program_is_told_where_it_runs(tmp_path: Path) -> None:
    found = run(["sh", "-c", "env | grep ^SHUTDOWNLAB_ | sort >told"], tmp_path, host="www.bbc.com", timeout="5s")
    assert found.outcome is Outcome.OK
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    vantage = NETWORK.vantages[0]
    assert told["SHUTDOWNLAB_VANTAGE"] == str(vantage.id)
    assert (told["SHUTDOWNLAB_PHASE"], told["SHUTDOWNLAB_PROBE"]) == ("blackout", "mine")
    assert (told["SHUTDOWNLAB_HOST"], told["SHUTDOWNLAB_ADDRESS"]) == ("www.bbc.com", "151.101.0.81")
    assert (told["SHUTDOWNLAB_FAMILY"], told["SHUTDOWNLAB_TIMEOUT"]) == ("ipv4", "5")


def test_a_scenario_says_which_programs_it_would_start() -> None:
    assert probe("command", command=["curl", "-m", 5]).programs == (("curl", "-m", "5"),)
    assert probe("web", url="https://www.bbc.com/").programs == ()
    assert os.environ.get("SHUTDOWNLAB_PHASE") is None
