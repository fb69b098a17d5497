"""What has happened to the processes of a country while a phase was measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from shutdownlab.country.health import Watch


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_was_stopped_before_the_watch_goes_on_and_casts_doubt() -> None:
    """Stopped between two phases, it would have been stopped all through the next."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            wait_until(lambda: state_of(process.pid) == "T")
            watch = Watch({process.pid: "the server"})
            watch.begin()
            wait_until(lambda: state_of(process.pid) != "T")
            assert watch.examine().doubts == ("the server was stopped for a while",)
            assert watch.examine().doubts == ()
        finally:
            process.kill()
