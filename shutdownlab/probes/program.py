"""A program run by a probe in its vantage point's namespaces: watched, read from, and killed with its children."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

from shutdownlab.probes.patience import patience
from shutdownlab.system.processor import ProgramWaitedTime, waited_s
from shutdownlab.system.signals import defaults_for_others

_KEPT: Final = 16_384
_LONGEST_LINE: Final = 200
_ENDING_S: Final = 0.05
_LOOK_S: Final = 0.2
"""How often to look whether it is stopped or frozen: the kernel doesn't count for how long."""


class ProgramEnded(Exception):
    """Raised if a program ends before it prints the expected line. `said`: its last line."""

    def __init__(self, program: str, said: str) -> None:
        super().__init__(f"{program} ended" + (f": {said}" if said else ""))
        self.said = said


class RunningProgram:
    """A running program in a process group of its own, whose output is read as it arrives; `end` kills the group."""

    def __init__(self, argv: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        """Raises OSError if it cannot be started."""
        with defaults_for_others():
            self._process = subprocess.Popen(
                argv, cwd=folder, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.name = argv[0]
        self._waits, self._waited = ProgramWaitedTime(self._process.pid), 0.0
        self._look()
        self.killed = 0
        """The signal by which somebody ended it before `end`; 0: nobody did. One that writes to a connection that was
        reset may die of SIGPIPE."""
        self.out, self.err = _Output(self._process.stdout.fileno()), _Output(self._process.stderr.fileno())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int:
        """The exit code, or minus the signal that ended it."""
        return int(self._process.returncode)

    def waited_s(self) -> float:
        """Returns for how many seconds it and its children could not run, up to now or until it ended.

        They waited for a CPU, or somebody had stopped or frozen them.
        """
        if self._process.returncode is None:
            self._waited = max(self._waited, self._waits.read())
        return self._waited

    def _look(self) -> None:
        self.waited_s()
        self._looks = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    async def ends_within(self, seconds: float) -> bool:
        """Waits for its end, for `seconds` plus any time in which it or this process was starved of CPU.

        Returns whether it ended.
        """
        loop, fd = asyncio.get_running_loop(), os.pidfd_open(self._process.pid)
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            async with patience(seconds, lambda: waited_s() + self.waited_s()):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        return True

    async def says(self, pattern: str) -> re.Match[str]:
        """Waits until its standard output or error has a line that matches the regular expression.

        Only the last 16 KiB of each are searched. Raises `ProgramEnded`; without a match or an end it waits forever.
        """
        outputs = (self.out, self.err)
        while True:
            for output in outputs:
                if found := re.search(pattern, output.text()):
                    return found
            if all(output.over for output in outputs):
                raise ProgramEnded(self.name, self.err.last_line() or self.out.last_line())
            changes = [asyncio.ensure_future(output.changed()) for output in outputs if not output.over]
            try:
                await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for change in changes:
                    change.cancel()

    def end(self) -> None:
        """Kills what is left of it, and reads its remaining output."""
        self._looks.cancel()
        self.waited_s()
        if self._process.returncode is None:
            with suppress(subprocess.TimeoutExpired):  # one that is ending closes its files first
                self._process.wait(_ENDING_S if self.out.over and self.err.over else 0.0)
            status = -(self._process.returncode or 0)
            self.killed = status if status in {signal.SIGKILL, signal.SIGTERM} else 0
        with suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for output in (self.out, self.err):
            output.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class _Output:
    """The tail of a pipe's data. `over`: its other end is closed everywhere."""

    def __init__(self, fd: int) -> None:
        self._fd, self._tail = fd, b""
        self.over = False
        self._came = asyncio.Event()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> int:
        """Returns how many bytes there were."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return 0
        if not data:
            self.over = True
            asyncio.get_running_loop().remove_reader(self._fd)
        self._tail = (self._tail + data)[-_KEPT:]
        self._came.set()
        return len(data)

    async def changed(self) -> None:
        """Waits for more data, or the end, since the last call."""
        await self._came.wait()
        self._came.clear()

    def close(self) -> None:
        """Reads what has arrived, then stops reading: what has left the program's process group may write for ever."""
        left = fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        while left > 0 and (got := self._read()):
            left -= got
        asyncio.get_running_loop().remove_reader(self._fd)

    def text(self) -> str:
        """Returns the tail of the data."""
        return self._tail.decode(errors="replace")

    def last_line(self) -> str:
        """Returns the last line with any text, "" if there is none."""
        lines = ["".join(c for c in line if c.isprintable()).strip() for line in self.text().splitlines()]
        return next((line[:_LONGEST_LINE] for line in reversed(lines) if line), "")
