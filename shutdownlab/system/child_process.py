"""A child forked from a process that has imported everything already: it is at work within milliseconds.

The child dies with its parent (by SIGKILL if need be), takes SIGTERM as "finish", leaves Ctrl-C to its parent and
speaks with it in lines, both ways. Fork before starting threads, and from the main thread: the kernel ties the death
signal to the thread that forked.
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
"""Before a traceback, as a JSON string. Lines of the users' own begin with neither."""

_FAREWELL_S: Final = 2.0
"""How long a child that ends waits for its parent to take its last lines."""


class ForkedError(RuntimeError):
    """A child could not start, or did not end by itself."""


class Child:
    """What a forked `main` is given: `stop_fd` becomes readable on SIGTERM; `lines` is the connection to the parent."""

    def __init__(self, name: str, stop_fd: int, lines: LineSocket) -> None:
        """Belong to `fork`."""
        self.name = name
        self.stop_fd = stop_fd
        self.lines = lines

    def ready(self) -> None:
        """Tell the parent that the work has begun."""
        self.send(_READY)

    def send(self, line: bytes) -> None:
        """Send the parent a line; never waits. What the parent does not take goes to standard error."""
        if not self.lines.send(line):
            _complain(f"{self.name}: its parent does not listen ({self.lines.ended or 'it reads nothing'}): {line!r}")

    def receive(self) -> list[bytes]:
        """The lines that the parent has sent since the last call; never waits."""
        return self.lines.receive()

    def go_on_as(self, argv: Sequence[str], environment: Mapping[str, str], files: Sequence[int] = ()) -> NoReturn:
        """Go on as another program, which is this child still for its parent: it calls `go_on`.

        argv: to it this adds the descriptor that `go_on` takes. files: descriptors that stay open.
        Raises OSError where that program can't be run.
        """
        for descriptor in (self.lines.fileno(), *files):
            os.set_inheritable(descriptor, True)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.execve(argv[0], [*argv, str(self.lines.fileno())], dict(environment))


class Forked:
    """The parent's hold on a child."""

    def __init__(self, name: str, pid: int, lines: LineSocket) -> None:
        """Belong to `fork`."""
        self.name = name
        self.pid = pid
        self.status: int | None = None
        """Exit status once it has ended, as `os.waitstatus_to_exitcode` gives it: negative for a signal."""
        self.is_ready = False
        """Whether it has said so, as far as `receive` has read."""
        self.failure: str | None = None
        """The traceback of the exception that ended it, as far as `receive` has read."""
        self._pidfd = os.pidfd_open(pid)
        self._lines = lines
        self._read: list[bytes] = []

    def fileno(self) -> int:
        """Return a descriptor that is readable when `receive` has something, and at the child's end."""
        return self._lines.fileno()

    def send(self, line: bytes) -> bool:
        """Send the child a line; never waits. False when the child does not take it: it has ended, or hangs."""
        return self._lines.send(line)

    def receive(self) -> list[bytes]:
        """Return the lines the child has sent since the last call; never waits."""
        self._drain()
        lines, self._read = self._read, []
        return lines

    def flush(self, wait_s: float) -> bool:
        """Wait at most so long for the child to take what was sent; whether it has."""
        return self._lines.flush(wait_s)

    @property
    def hung_up(self) -> bool:
        """Whether the child has ended, or is about to, as far as `receive` has read."""
        return self._lines.ended is not None

    def alive(self) -> bool:
        """Return whether the child still runs."""
        return self.wait(0) is None

    def wait(self, seconds: float | None) -> int | None:
        """Wait for the child's end, taking what it sends meanwhile; its status, or None when it still runs."""
        end = None if seconds is None else time.monotonic() + seconds
        while self.status is None and self._pause(end):
            pass
        return self.status

    def wait_ready(self, deadline_s: float = 10.0) -> None:
        """Return when the child is ready; raises `ForkedError` when it failed, ended or took too long."""
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
        """Ask the child to end (SIGTERM), and do not wait."""
        if self.status is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)

    def end(self, grace_s: float) -> str:
        """Let the child end by itself within so many seconds, or kill it; how it ended."""
        if self.wait(grace_s) is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self.wait(None)
        return ending(self.status)

    def stop(self, deadline_s: float = 5.0) -> list[bytes]:
        """End the child and return its last lines; raises `ForkedError` when it had to be killed."""
        if self.alive():
            self.finish()
            if self.wait(deadline_s) is None:
                self.end(0)
                raise ForkedError(f"{self.name} had not ended {deadline_s:g} s after SIGTERM and was killed")
        return self.receive()

    def close(self) -> None:
        """Let go of the descriptors of a child that has ended."""
        self._lines.close()
        os.close(self._pidfd)

    def _pause(self, end: float | None) -> bool:
        """Wait until the child says something or ends, and see to it; False at `end` (monotonic; None: never)."""
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
    """How a process ended, from its status as `os.waitstatus_to_exitcode` and `Popen.returncode` give it."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-status}"


def exit_code(status: int) -> int:
    """A process's status as a shell gives it: 128 and the number for a signal."""
    return status if status >= 0 else 128 - status


def fork(
    name: str, main: Callable[[Child], None], enter: Callable[[], None] | None = None, *, aside: bool = True
) -> Forked:
    """Run `main` in a forked child called `name`, which ends when `main` returns or raises (see `Forked.failure`).

    enter: called in the child first of all, to move it into other namespaces: after it, no descriptor of the parent's
    is open any more. aside: it has a session of its own, by which Linux shares processors out (sched(7), autogroup):
    it has its turn beside all that this process and others of its session do, as daemons have.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = os.getpid()
    flush_standard_streams()
    pid = os.fork()
    if pid == 0:
        _run_child(name, main, enter, theirs, parent, aside)
    theirs.close()
    return Forked(name, pid, LineSocket(ours))


def _run_child(
    name: str,
    main: Callable[[Child], None],
    enter: Callable[[], None] | None,
    theirs: socket.socket,
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
            _own_streams(theirs.fileno())
            gc.freeze()  # what was imported is never garbage: not looking at it keeps its pages shared
            child.stop_fd = stop_descriptor()
            main(child)

        status = _at_work(Child(name, -1, LineSocket(theirs)), prepared)
    finally:
        os._exit(status)


def go_on(name: str, descriptor: int, main: Callable[[Child], None]) -> NoReturn:
    """Run `main` in the program that a child goes on as (`Child.go_on_as`), as `fork` would have."""
    status = 1

    def prepared(child: Child) -> None:
        syscalls.name_process(name)
        child.stop_fd = stop_descriptor()
        main(child)

    try:
        # With its family: a socket of eventlet's does not ask the kernel.
        lines = LineSocket(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptor))
        status = _at_work(Child(name, -1, lines), prepared)
    finally:
        os._exit(status)


def _at_work(child: Child, main: Callable[[Child], None]) -> int:
    """Run `main`; the child's exit status. Its parent is told of the exception that ended it."""
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
    """Close all of the parent's descriptors but `kept` and the standard streams, which may be anything in its Python (a
    progress display, a test's capture)."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
    logging.root.handlers.clear()  # their files are closed; what is opened next would have their descriptors
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads: no reason to end
        sys.stderr.write(text + "\n")


def stop_descriptor() -> int:
    """Return a descriptor that becomes readable when this process is sent SIGTERM (once, in the main thread)."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    return read_end
