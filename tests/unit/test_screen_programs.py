"""Programs that take a terminal to themselves, where nobody can press keys."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from shutdownlab.system.screen import LOOK_S, ScreenProgram

PATIENCE_S = 20.0
TAKES_KEYS = f"{sys.executable} -c 'import time, tty; tty.setraw(1); time.sleep(1000)' </dev/null"


@pytest.fixture
def shell() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A terminal, and the shell in it."""
    master, slave = pty.openpty()
    argv = ["setsid", "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-is"]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave) as process:
        try:
            os.write(master, b"set +m; echo be''gun\n")
            read_until(master, b"begun")
            yield master, process
        finally:
            process.send_signal(signal.SIGKILL)
            os.close(slave)
            os.close(master)


def read_until(master: int, text: bytes) -> None:
    found, end = b"", time.monotonic() + PATIENCE_S
    while text not in found:
        assert select.select([master], [], [], max(end - time.monotonic(), 0))[0], found
        found += os.read(master, 1024)


def comes_true(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("command", [TAKES_KEYS, f"timeout 1000 {TAKES_KEYS}"])
def test_a_program_that_waits_for_keys_is_ended_and_the_next_command_goes_on(
    command: str, shell: tuple[int, subprocess.Popen[bytes]]
) -> None:
    master, process = shell
    before = termios.tcgetattr(master)
    os.write(master, b"sleep 1000 & echo sle''eps\n")  # its echo alone would come before it runs
    read_until(master, b"sleeps")
    screen = ScreenProgram(master, process.pid)
    os.write(master, f"{command}; echo go''es on\n".encode())
    assert comes_true(lambda: screen.waits(LOOK_S))
    assert screen.stop()
    end = time.monotonic() + 3
    while time.monotonic() < end:  # what a stopped program does not heed is killed
        assert not screen.stop()
        time.sleep(0.2)
    read_until(master, b"goes on")
    screen.restore()
    assert termios.tcgetattr(master) == before
    os.write(master, b"jobs -r; echo a''ll\n")
    read_until(master, b"sleep 1000")


def test_a_program_that_takes_its_time_is_not_one(shell: tuple[int, subprocess.Popen[bytes]]) -> None:
    master, process = shell
    screen = ScreenProgram(master, process.pid)
    os.write(master, b"sleep 1000 </dev/null\n")
    end = time.monotonic() + 2.5 * LOOK_S
    while time.monotonic() < end:
        assert not screen.waits(0)
        time.sleep(0.1)
