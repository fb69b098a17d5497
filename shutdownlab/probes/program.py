"""A program that a probe runs in its vantage point's namespaces: watched, read from, and killed with its children."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

from shutdownlab.probes.patience import patience
from shutdownlab.system.processor import waited_s, waited_with_children_s
from shutdownlab.system.signals import defaults_for_others

_KEPT: Final = 16_384
_LONGEST_LINE: Final = 200


class ProgramEnded(Exception):
    """A program has ended before it said what was waited for. `said`: its last line."""

    def __init__(self, program: str, said: str) -> None:
        super().__init__(f"{program} ended" + (f": {said}" if said else ""))
        self.said = said


class RunningProgram:
    """A program that runs, in a process group of its own, with its output read as it comes; `end` kills the group."""

    def __init__(self, argv: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
        """Raises OSError where it cannot be started."""
        with defaults_for_others():
            self._process = subprocess.Popen(
                argv, cwd=folder, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.name = argv[0]
        self._waited = 0.0
        self.out, self.err = _Output(self._process.stdout.fileno()), _Output(self._process.stderr.fileno())

    @property
    def status(self) -> int:
        """The exit status, or minus the signal that ended it."""
        return int(self._process.returncode)

    def waited_s(self) -> float:
        """For how many seconds it and its children had no processor until now, or until it was ended."""
        if self._process.returncode is None:
            self._waited = max(self._waited, waited_with_children_s(self._process.pid))
        return self._waited

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long, and longer where it or this process had no processor; whether it came."""
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
        """Wait until its standard output or error has a line in which the regular expression is found.

        Only the last 16 KiB of each are looked at. Raises `ProgramEnded`; waits for ever where neither happens.
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
        """Kill what is left of it, and read what it has written."""
        self.waited_s()
        with suppress(ProcessLookupError):  # all of its group has ended
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
    """The end of what comes through a pipe. `over`: nobody holds its other end any more."""

    def __init__(self, fd: int) -> None:
        self._fd, self._tail = fd, b""
        self.over = False
        self._came = asyncio.Event()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            self.over = True
            asyncio.get_running_loop().remove_reader(self._fd)
        self._tail = (self._tail + data)[-_KEPT:]
        self._came.set()
        return bool(data)

    async def changed(self) -> None:
        """Wait for more to come, or the end, since this was last asked."""
        await self._came.wait()
        self._came.clear()

    def close(self) -> None:
        """Read what is there, and no more."""
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._fd)

    def text(self) -> str:
        """The end of what has come."""
        return self._tail.decode(errors="replace")

    def last_line(self) -> str:
        """The last line that says something, "" where none does."""
        lines = ["".join(c for c in line if c.isprintable()).strip() for line in self.text().splitlines()]
        return next((line[:_LONGEST_LINE] for line in reversed(lines) if line), "")
