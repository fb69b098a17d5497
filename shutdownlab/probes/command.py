"""Runs a user's program as a probe; `kinds.Command` says what its exit status and its output mean."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from contextlib import suppress
from typing import Final

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import TIMEOUT
from shutdownlab.probes.kinds import Execution
from shutdownlab.probes.session import ProbeSession
from shutdownlab.system.signals import defaults_for_others

_KEPT: Final = 4096
_LONGEST_LINE: Final = 200
_NUMBER: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)(?:\s*([^\s\d][^\s]{0,19}))?")
_FAILURE: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")


async def command_test(session: ProbeSession, ask: Execution) -> Conclusion:
    """Run the program to its end; what it leaves behind in its process group is killed.

    One that cannot be started is an error. One that does not end in time is blocked, as a test that gets no answer is.
    Whatever is not ok is doubtful: a busy machine may have been too slow for the program's own timeouts.
    """
    began = session.trace.now()
    try:
        program = _Program(ask.argv, str(ask.folder), _environment(session, ask))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return Conclusion(Outcome.ERROR, f"unknown_failure: {ask.argv[0]} cannot be started in {ask.folder}: {why}")
    try:
        ended = await program.ends_within(ask.timeout)
    finally:
        program.end()
    line = program.out.last_line()
    session.trace.extra["x_command"] = {
        "argv": list(ask.argv),
        "exit_status": program.status if ended else None,
        "line": line,
        "error_line": program.err.last_line(),
        "seconds": round(session.trace.now() - began, 6),
    }
    return _conclusion(ask, program.status, line, program.err.last_line()) if ended else _too_late()


def _too_late() -> Conclusion:
    return Conclusion(Outcome.BLOCKED, TIMEOUT, doubtful=True)


def _conclusion(ask: Execution, status: int, line: str, error_line: str) -> Conclusion:
    found = _NUMBER.fullmatch(line)
    value, unit = (float(found[1]), found[2] or "") if found else (None, "")
    outcome = ask.outcomes.get(status, ask.otherwise) if status >= 0 else Outcome.ERROR
    if outcome is Outcome.OK:
        return Conclusion(outcome, value=value, unit=unit)
    if outcome is not Outcome.ERROR and _FAILURE.fullmatch(line):
        failure = line
    else:
        how = f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
        said = (line if outcome is not Outcome.ERROR else error_line) or line or error_line
        failure = f"unknown_failure: {how}{f': {said}' if said else ''}"
    return Conclusion(outcome, failure, doubtful=outcome is not Outcome.ERROR, value=value, unit=unit)


def _environment(session: ProbeSession, ask: Execution) -> dict[str, str]:
    """The agent's own, with the laboratory's certificates, and what the program may want to know."""
    request = session.request
    address = request.addresses[0] if request.addresses else ""
    own = {"PROBE": request.name, "FAMILY": request.family.value, "RESOLVER": request.resolver, "ADDRESS": address}
    told = {**ask.variables, **own, "TIMEOUT": f"{ask.timeout:g}"}
    return {**os.environ, **{f"SHUTDOWNLAB_{name}": value for name, value in told.items()}}


class _Program:
    """A program that runs, in a process group of its own, with its output read as it comes."""

    def __init__(self, argv: tuple[str, ...], folder: str, environment: dict[str, str]) -> None:
        """Raises OSError where it cannot be started."""
        with defaults_for_others():
            self._process = subprocess.Popen(
                argv, cwd=folder, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out, self.err = _Output(self._process.stdout.fileno()), _Output(self._process.stderr.fileno())

    @property
    def status(self) -> int:
        """The exit status, or minus the signal that ended it."""
        return int(self._process.returncode)

    async def ends_within(self, seconds: float) -> bool:
        loop, fd = asyncio.get_running_loop(), os.pidfd_open(self._process.pid)
        ended = asyncio.Event()
        loop.add_reader(fd, ended.set)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(fd)
            os.close(fd)
        return True

    def end(self) -> None:
        """Kill what is left of it, and read what it has written."""
        with suppress(ProcessLookupError):  # all of its group has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for output in (self.out, self.err):
            output.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class _Output:
    """The end of what comes through a pipe."""

    def __init__(self, fd: int) -> None:
        self._fd, self._tail = fd, b""
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> bool:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._tail = (self._tail + data)[-_KEPT:]
        return bool(data)

    def close(self) -> None:
        """Read what is there, and no more."""
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._fd)

    def last_line(self) -> str:
        """The last line that says something, "" where none does."""
        text = self._tail.decode(errors="replace")
        lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
        return next((line[:_LONGEST_LINE] for line in reversed(lines) if line), "")
