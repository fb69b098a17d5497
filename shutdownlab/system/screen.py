"""Recognises a program that has taken a terminal to itself, as editors and pagers do, and ends it."""

from __future__ import annotations

import os
import signal
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

LOOK_S: Final = 1.0
"""How often the terminal is looked at, at most."""
_LOCAL_FLAGS: Final = 3
"""The index of the local flags in what `tcgetattr` returns."""
_STOPPED: Final = b"T"
_GRACE_S: Final = 1.0
"""From SIGTERM to SIGKILL: time to restore the screen."""


class ScreenProgram:
    """The programs of one command in a shell's pseudo-terminal, from the command's start to its end.

    A program that wants single keys (less, vi, top, watch) puts the terminal into non-canonical mode; if it is not in
    the foreground, as under `timeout`, the kernel stops it for that (SIGTTOU). Where nobody can press keys, either
    waits for ever.
    """

    def __init__(self, terminal: int, shell: int) -> None:
        """Is to be made before the command starts. terminal: a descriptor of it; shell: the session leader's id."""
        self._terminal, self._session = terminal, os.getsid(shell)
        self._before = termios.tcgetattr(terminal)
        self._others = frozenset(_session(self._session))
        self._since: float | None = None
        self._next_look = 0.0
        self._terminated: float | None = None

    def waits(self, seconds: float) -> bool:
        """Returns whether the terminal was without line input, or a program stopped, at every look for so long."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_S
        lines = termios.tcgetattr(self._terminal)[_LOCAL_FLAGS] & termios.ICANON
        if lines and not any(state == _STOPPED for state in self._programs().values()):
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= seconds

    def stop(self) -> bool:
        """Sends SIGTERM to the command's programs, in later calls SIGKILL; returns whether it is the first call."""
        now = time.monotonic()
        first = self._terminated is None
        if self._terminated is None:
            self._terminated = now
        number = signal.SIGTERM if first else signal.SIGKILL
        if first or now - self._terminated >= _GRACE_S:
            for process in self._programs():
                with suppress(ProcessLookupError):
                    os.kill(process, number)
        return first

    def _programs(self) -> dict[int, bytes]:
        found = _session(self._session)
        return {process: state for process, state in found.items() if process not in self._others}

    def restore(self) -> None:
        """Gives the terminal the settings that it had before; a program that was killed could not."""
        termios.tcsetattr(self._terminal, termios.TCSANOW, self._before)


def _session(leader: int) -> dict[int, bytes]:
    """Returns the processes of a session, and the state of each."""
    found = dict[int, bytes]()
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it has ended
                # PID (NAME) STATE PPID PGRP SESSION
                state, _, _, session, *_ = (process / "stat").read_bytes().rpartition(b")")[2].split()
                if int(session) == leader:
                    found[int(process.name)] = state
    return found
