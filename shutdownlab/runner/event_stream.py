"""A run's events on their way out of its sandbox: written by the run, read by the process that started it.

Who listens may hang up, and says so; who is killed does not come to that. The sandbox of a killed process ends with it,
but a moment later: what the run still learns by then, a listener that has gone without a word or the SIGHUP of its
terminal, is no end of its own, and its record is left as it is of a run that was killed.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Final

from shutdownlab.results.events import Event, Listener, Measured, decode, encode
from shutdownlab.system.line_socket import NO_SIGNAL

_GOODBYE: Final = b"."
_TOGETHER_S: Final = 0.1
_LINE_LIMIT: Final = 64 * 1024 * 1024


class ListenersGone(KeyboardInterrupt):
    """Whoever listened to the run's events has hung up: nobody wants the run any more."""


class StarterKilled(KeyboardInterrupt):
    """The process that started the run is no more, and so is the run, in a moment."""


def is_deserted(descriptor: int) -> bool:
    """Whether who listens at this end of a socket is gone without a word. Of no socket (-1) it is never known."""
    if descriptor < 0:
        return False
    with socket.socket(fileno=os.dup(descriptor)) as listened:
        try:
            return not listened.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # it had not read all
            return True


class EventWriter:
    """Writes events to a socket, a line each; what was measured at nearly the same time is written together.

    Each write wakes who reads, on a processor that probes need.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines = bytearray()
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Raises `ListenersGone` where nobody reads any more, `StarterKilled` where nobody can."""
        self._lines += encode(event)
        now = time.monotonic()
        if isinstance(event, Measured) and now < self._next:
            return  # more come, or the phase's end
        self._next = now + _TOGETHER_S
        lines, self._lines = memoryview(self._lines), bytearray()
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
        except (BrokenPipeError, ConnectionResetError):
            raise (StarterKilled if is_deserted(self._descriptor) else ListenersGone) from None


class EventReader(threading.Thread):
    """Reads events as they come and hands them on; says goodbye and hangs up where the listener raises."""

    def __init__(self, sock: socket.socket, on_event: Listener) -> None:
        super().__init__(name="events", daemon=True)
        self._sock = sock
        self._on_event = on_event
        self.raised: BaseException | None = None

    def run(self) -> None:
        try:
            with self._sock.makefile("rb") as lines:
                while line := lines.readline(_LINE_LIMIT):
                    event = decode(line)
                    if event is not None:
                        self._on_event(event)
                with suppress(OSError):  # who waits for all to have been told learns it by this
                    self._sock.shutdown(socket.SHUT_WR)
        except BaseException as error:
            self.raised = error
            with suppress(OSError):  # the run has ended meanwhile
                self._sock.sendall(_GOODBYE, NO_SIGNAL)
                self._sock.shutdown(socket.SHUT_RDWR)
