"""A child forked from a process that has imported everything already: it is at work within milliseconds.

The child dies with its parent (by SIGKILL if need be), takes SIGTERM as "finish", leaves Ctrl-C to its parent and
tells what the run must hear over a socket of its own. Fork before starting threads, and from the main thread: the
kernel ties the death signal to the thread that forked.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from shutdownlab.protocol.messages import Failure, Message, Ready, decode, encode
from shutdownlab.system.syscalls import die_with_parent, name_process

_PR_SET_TIMERSLACK: Final = 29
_LONGEST_TEXT: Final = 16_000


class ForkedError(RuntimeError):
    """A child could not start, or did not end by itself."""


class Child:
    """What a forked `main` is given: `stop_fd` becomes readable on SIGTERM, `post` tells the parent."""

    def __init__(self, name: str, stop_fd: int, events: socket.socket) -> None:
        """Belong to `fork`; `events` is the child's end."""
        self.name = name
        self.stop_fd = stop_fd
        self._events = events

    def ready(self) -> None:
        """Tell the parent that the work has begun."""
        self.post(Ready(self.name))

    def post(self, message: Message) -> None:
        """Tell the parent; failures go to standard error too, and so does what the parent does not take. Never waits.

        Long texts lose their beginning.
        """
        if isinstance(message, Failure):
            _complain(f"{message.where}: {message.text}")
            message = Failure(message.where, message.text[-_LONGEST_TEXT:])
        try:
            self._events.send(encode(message), socket.MSG_DONTWAIT)
        except OSError as error:
            _complain(f"{self.name}: could not tell its parent ({error}): {message}")


class Forked:
    """The parent's hold on a child."""

    def __init__(self, name: str, pid: int, events: socket.socket) -> None:
        """Belong to `fork`; `events` is the parent's end."""
        self.name = name
        self.pid = pid
        self.status: int | None = None
        """Exit status once it has ended, as `os.waitstatus_to_exitcode` gives it: negative for a signal."""
        self._pidfd = os.pidfd_open(pid)
        self._events = events
        self._read: list[Message] = []

    def fileno(self) -> int:
        """Return a descriptor that is readable when `messages` has something, and at the child's end."""
        return self._events.fileno()

    def messages(self) -> list[Message]:
        """Return what the child has told since the last call; never waits."""
        self._drain()
        told, self._read = self._read, []
        return told

    def alive(self) -> bool:
        """Return whether the child still runs."""
        return self._wait(0) is None

    def wait_ready(self, deadline_s: float = 10.0) -> None:
        """Return when the child has said `Ready`; raises `ForkedError` when it failed, ended or took too long."""
        end = time.monotonic() + deadline_s
        while True:
            ended = not self.alive()
            self._drain()
            if any(isinstance(message, Ready) for message in self._read):
                return
            if ended:
                failed = [message.text for message in self._read if isinstance(message, Failure)]
                raise ForkedError(f"{self.name} did not start: {'; '.join(failed) or f'it {ending(self.status)}'}")
            left = end - time.monotonic()
            if left <= 0:
                raise ForkedError(f"{self.name} was not ready within {deadline_s:g} s")
            select.select([self._events.fileno(), self._pidfd], [], [], left)

    def stop(self, deadline_s: float = 5.0) -> list[Message]:
        """End the child and return its last messages; raises `ForkedError` when it had to be killed."""
        if self.alive():
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            if self._wait(deadline_s) is None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                self._wait(None)
                raise ForkedError(f"{self.name} had not ended {deadline_s:g} s after SIGTERM and was killed")
        return self.messages()

    def close(self) -> None:
        """Let go of the descriptors of a child that has ended."""
        self._events.close()
        os.close(self._pidfd)

    def _wait(self, seconds: float | None) -> int | None:
        if self.status is None and select.select([self._pidfd], [], [], seconds)[0]:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def _drain(self) -> None:
        while True:
            try:
                line = self._events.recv(1 << 20, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionResetError):
                return
            if not line:
                return
            self._read.append(decode(line))


def ending(status: int | None) -> str:
    """How a process ended, from its status as `os.waitstatus_to_exitcode` and `Popen.returncode` give it."""
    if status is None or status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was killed by signal {-status}"


def fork(name: str, main: Callable[[Child], None]) -> Forked:
    """Run `main` in a forked child called `name`, which ends when `main` returns; an exception becomes a `Failure`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run_child(name, main, theirs, parent)
    theirs.close()
    return Forked(name, pid, ours)


def _run_child(name: str, main: Callable[[Child], None], events: socket.socket, parent: int) -> NoReturn:
    status = 1
    try:
        die_with_parent()
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
        name_process(name)
        ctypes.CDLL(None).prctl(
            _PR_SET_TIMERSLACK, ctypes.c_ulong(1), 0, 0, 0
        )  # nanoseconds; the default of 50 µs shows in a 1 ms delay
        os.closerange(3, events.fileno())
        os.closerange(events.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        # The parent's streams may be anything (a progress display, a test's capture).
        sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, closefd=False) for n in (1, 2))
        child = Child(name, stop_descriptor(), events)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()  # what was imported is never garbage: not looking at it keeps its pages shared
        try:
            main(child)
            status = 0
        except BaseException:
            child.post(Failure(name, traceback.format_exc()))
    finally:
        os._exit(status)


def _complain(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads: no reason to end
        sys.stderr.write(text + "\n")


def stop_descriptor() -> int:
    """Return a descriptor that becomes readable when this process is sent SIGTERM (once, in the main thread)."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    return read_end
