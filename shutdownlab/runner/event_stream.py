"""Passes a run's events out of its sandbox over a socket: the run writes them, and the process that started it reads.

A reader that stops sends a goodbye first; a killed process cannot. The sandbox of a killed process ends a moment after
it. If in this moment the run finds its reader gone without a goodbye, or gets the SIGHUP of its terminal, it writes no
end of its own, so that its record is that of a killed run.
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
    """The reader of the run's events has stopped deliberately, so the run is to end."""


class StarterKilled(KeyboardInterrupt):
    """The process that started the run was killed, so the run will be killed in a moment."""


def is_deserted(descriptor: int) -> bool:
    """Whether the peer of a socket is gone without a goodbye; False for no socket (-1)."""
    if descriptor < 0:
        return False
    with socket.socket(fileno=os.dup(descriptor)) as listened:
        try:
            return not listened.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionResetError:  # the peer had unread data
            return True


class EventWriter:
    """Writes events to a socket, one per line; results measured at nearly the same time are written together.

    Each write wakes the reader, on a processor that probes need.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines = bytearray()
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Writes an event. Raises `ListenersGone` if the reader has stopped, `StarterKilled` if it was killed."""
        self._lines += encode(event)
        now = time.monotonic()
        if isinstance(event, Measured) and now < self._next:
            return  # written with later results or the phase's end
        self._next = now + _TOGETHER_S
        lines, self._lines = memoryview(self._lines), bytearray()
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
        except (BrokenPipeError, ConnectionResetError):
            raise (StarterKilled if is_deserted(self._descriptor) else ListenersGone) from None


class EventReader(threading.Thread):
    """Reads events as they come and calls `on_event`; if that raises, sends a goodbye and closes the connection."""

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
                with suppress(OSError):  # tells the run that all events have been handled
                    self._sock.shutdown(socket.SHUT_WR)
        except BaseException as error:
            self.raised = error
            with suppress(OSError):  # the run may have ended meanwhile
                self._sock.sendall(_GOODBYE, NO_SIGNAL)
                self._sock.shutdown(socket.SHUT_RDWR)
