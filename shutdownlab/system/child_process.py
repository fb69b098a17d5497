"""Child processes forked from a process that has already imported everything, so that they start in milliseconds.

The child is killed with its parent (SIGKILL), treats SIGTERM as a request to finish, ignores SIGINT and SIGHUP, and
exchanges lines with its parent in both directions. Fork from the main thread and before starting other threads: the
kernel ties the parent-death signal to the thread that forked.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from shutdownlab.system import polling, syscalls
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.streams import flush_standard_streams

_READY: Final = b"ready\n"
_FAILED: Final = b"failed "
"""Prefix of a traceback sent as a JSON string. Callers' own lines must not start with this or with `_READY`."""

_FAREWELL_S: Final = 2.0
"""How long an ending child waits for its parent to read its last lines, in seconds."""


class ForkedError(RuntimeError):
    """A child failed to start, or had to be killed."""


class Child:
    """The child's side, passed to its `main`. `stop_fd` becomes readable on SIGTERM; `lines` connects to the parent."""

    def __init__(self, name: str, stop_fd: int, lines: LineSocket) -> None:
        """For `fork` and `go_on` only."""
        self.name = name
        self.stop_fd = stop_fd
        self.lines = lines

    def ready(self) -> None:
        """Tells the parent that this child is up and running."""
        self.send(_READY)

    def send(self, line: bytes) -> None:
        """Sends a line to the parent without blocking. A line that can't be sent is written to standard error."""
        if not self.lines.send(line):
            _complain(f"{self.name}: its parent does not listen ({self.lines.ended or 'it does not read'}): {line!r}")

    def receive(self) -> list[bytes]:
        """Returns the lines received from the parent since the last call, without blocking."""
        return self.lines.receive()

    def go_on_as(self, argv: Sequence[str], environment: Mapping[str, str], files: Sequence[int] = ()) -> NoReturn:
        """Replaces this process with another program (execve), which must call `go_on` to remain the parent's child.

        argv: the program's arguments; the file descriptor that `go_on` needs is appended to them.
        files: file descriptors to keep open. Raises OSError if the program can't be executed.
        """
        for descriptor in (self.lines.fileno(), *files):
            os.set_inheritable(descriptor, True)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.execve(argv[0], [*argv, str(self.lines.fileno())], dict(environment))


class Forked:
    """The parent's handle on a child."""

    def __init__(self, name: str, pid: int, lines: LineSocket) -> None:
        """For `fork` only."""
        self.name = name
        self.pid = pid
        self.status: int | None = None
        """Exit status as from `os.waitstatus_to_exitcode`, negative for a signal; None while the child runs."""
        self.is_ready = False
        """Whether the child has reported that it is ready, as of the last read of its lines."""
        self.failure: str | None = None
        """Traceback of the exception that ended the child, as of the last read of its lines; None if there is none."""
        self._pidfd = os.pidfd_open(pid)
        self._lines = lines
        self._read: list[bytes] = []

    def fileno(self) -> int:
        """Returns a descriptor that is readable when `receive` has lines, and when the child has ended."""
        return self._lines.fileno()

    def send(self, line: bytes) -> bool:
        """Sends a line to the child without blocking. False if the child has ended, or its backlog is full."""
        return self._lines.send(line)

    def receive(self) -> list[bytes]:
        """Returns the lines received from the child since the last call, without blocking."""
        self._drain()
        lines, self._read = self._read, []
        return lines

    def flush(self, wait_s: float) -> bool:
        """Waits up to `wait_s` seconds for all queued lines to be sent; returns whether they were."""
        return self._lines.flush(wait_s)

    @property
    def hung_up(self) -> bool:
        """Whether the connection is closed, so that the child has ended or soon will, as of the last read."""
        return self._lines.ended is not None

    def alive(self) -> bool:
        """Returns whether the child still runs."""
        return self.wait(0) is None

    def wait(self, seconds: float | None) -> int | None:
        """Waits for the child to end while reading its lines; returns its status, or None if it still runs.

        seconds: timeout; None waits for ever.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while self.status is None and self._pause(end):
            pass
        return self.status

    def wait_ready(self, deadline_s: float = 10.0) -> None:
        """Waits until the child is ready. Raises `ForkedError` if it failed, ended or took more than `deadline_s`."""
        end = time.monotonic() + deadline_s
        while True:
            going_on = self._pause(end)
            self._drain()
            if self.is_ready:
                return
            if self.status is not None:
                raise ForkedError(f"{self.name} did not start: {self.failure or f'it {ending(self.status)}'}")
            if not going_on:
                raise ForkedError(f"{self.name} was not ready within {deadline_s:g} s")

    def finish(self) -> None:
        """Asks the child to end (SIGTERM), without waiting for it."""
        if self.status is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def end(self, grace_s: float) -> str:
        """Waits up to `grace_s` seconds for the child to end, then kills it; returns how it ended (see `ending`)."""
        if self.wait(grace_s) is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self.wait(None)
        return ending(self.status)

    def stop(self, deadline_s: float = 5.0) -> list[bytes]:
        """Stops the child (SIGTERM) and returns its last lines. Raises `ForkedError` if it had to be killed."""
        if self.alive():
            self.finish()
            if self.wait(deadline_s) is None:
                self.end(0)
                raise ForkedError(f"{self.name} had not ended {deadline_s:g} s after SIGTERM and was killed")
        return self.receive()

    def close(self) -> None:
        """Closes the descriptors kept for a child that has ended."""
        self._lines.close()
        os.close(self._pidfd)

    def _pause(self, end: float | None) -> bool:
        """Waits for lines from the child or for its end, and handles them.

        end: deadline on the monotonic clock; None for none. Returns False if it passed.
        """
        watched: list[polling.Descriptor] = [self._pidfd] if self.status is None else []
        if self._lines.ended is None:
            watched.append(self._lines)
        happened = polling.wait(watched, seconds=None if end is None else end - time.monotonic())
        if self._pidfd in happened:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._drain()
        return bool(happened)

    def _drain(self) -> None:
        for line in self._lines.receive():
            if line == _READY.rstrip():
                self.is_ready = True
            elif line.startswith(_FAILED):
                self.failure = json.loads(line.removeprefix(_FAILED))
            else:
                self._read.append(line)


def ending(status: int | None) -> str:
    """Describes how a process ended. `status` is as from `os.waitstatus_to_exitcode` or `Popen.returncode`."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-status}"


def exit_code(status: int) -> int:
    """Converts a status, negative for a signal, to a shell's exit code: 128 + N for signal N."""
    return status if status >= 0 else 128 - status


def fork(
    name: str, main: Callable[[Child], None], enter: Callable[[], None] | None = None, *, aside: bool = True
) -> Forked:
    """Runs `main` in a forked child called `name`, which ends when `main` returns or raises (see `Forked.failure`).

    enter: called in the child before anything else, to move it into other namespaces; all file descriptors inherited
        from the parent are closed after it.
    aside: whether the child gets its own session. Linux shares CPU time between sessions (autogroup, sched(7)), so
        the child then competes as a daemon would instead of sharing this session's time.
    """
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    flush_standard_streams()
    pid = os.fork()
    if pid == 0:
        _run_child(name, main, enter, far, parent, aside)
    far.close()
    return Forked(name, pid, LineSocket(near))


def _run_child(
    name: str,
    main: Callable[[Child], None],
    enter: Callable[[], None] | None,
    far: socket.socket,
    parent: int,
    aside: bool,
) -> NoReturn:
    status = 1
    try:
        syscalls.die_with_parent(parent)
        syscalls.name_process(name)
        if aside:
            os.setsid()
        syscalls.set_timer_slack(1)  # nanoseconds; the default of 50 µs shows in a 1 ms delay
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

        def prepared(child: Child) -> None:
            if enter is not None:
                enter()
            _own_streams(far.fileno())
            gc.freeze()  # imported objects are never garbage; not scanning them keeps their pages shared
            child.stop_fd = stop_descriptor()
            main(child)

        status = _at_work(Child(name, -1, LineSocket(far)), prepared)
    finally:
        os._exit(status)


def go_on(name: str, descriptor: int, main: Callable[[Child], None]) -> NoReturn:
    """Runs `main`, as `fork` does, in the program that a child has become by `Child.go_on_as`.

    descriptor: the last argument of that program, the connection to the parent.
    """
    status = 1

    def prepared(child: Child) -> None:
        syscalls.name_process(name)
        child.stop_fd = stop_descriptor()
        main(child)

    try:
        # The family is given explicitly because eventlet's socket class doesn't ask the kernel for it.
        lines = LineSocket(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor))
        status = _at_work(Child(name, -1, lines), prepared)
    finally:
        os._exit(status)


def _at_work(child: Child, main: Callable[[Child], None]) -> int:
    """Runs `main` and returns the exit status. If `main` raises, its traceback is sent to the parent."""
    try:
        main(child)
        return 0
    except BaseException:
        failure = traceback.format_exc()
        _complain(f"{child.name}: {failure}")
        child.lines.send(_FAILED + json.dumps(failure).encode() + b"\n")
        return 1
    finally:
        child.lines.flush(_FAREWELL_S)


def _own_streams(kept: int) -> None:
    """Closes all inherited descriptors but `kept` and the standard streams, and reopens the latter.

    In the parent, sys.stdout and sys.stderr may be anything: a progress display, a test's capture.
    """
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    logging.root.handlers.clear()  # their files are closed, and newly opened files would reuse the descriptors
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # a closed standard error is no reason to fail
        sys.stderr.write(text + "\n")


def stop_descriptor() -> int:
    """Returns a descriptor that becomes readable when this process gets SIGTERM.

    Call it once, in the main thread.
    """
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    return read_end
