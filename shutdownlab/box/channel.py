"""A DPI box's connection to a controller, which never blocks, never gives up and never ends the box.

It reconnects at growing intervals for as long as the box runs. Decisions made while there is no connection are counted
and dropped (the box enforces them itself); failures are queued for the next connection, because the run must know them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shutdownlab.protocol.messages import Failure, Message, MessageError, Notice, decode, encode
from shutdownlab.system.line_socket import LineSocket
from shutdownlab.system.netns import inside

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_CONNECT_S: Final = 3.0


class Channel:
    """The box's end; `tell` gets a `Notice` whenever the connection is lost or restored, and failures."""

    def __init__(
        self,
        address: tuple[str, int],
        netns: Path | None,
        hello: Message,
        poller: select.epoll,
        where: str,
        tell: Callable[[Message], None],
    ) -> None:
        """Connects to `address` (IP, port) from the namespace `netns` at the first `turn`; `hello` is each connection's
        first message.

        `where`: the box's name in notices and failures.
        """
        self._address = address
        self._netns = netns
        self._hello = encode(hello)
        self._poller = poller
        self._where = where
        self._tell = tell
        self._socket: socket.socket | None = None
        self._lines: LineSocket | None = None
        self._told_missing = False
        self._failures: list[bytes] = []
        self._pause = _FIRST_PAUSE_S
        self.next_turn = 0.0
        """The time to call `turn` next, by the monotonic clock; infinite while connected."""
        self.unsent = 0
        """Messages dropped because there was no connection, or because the controller reads too slowly."""

    @property
    def fd(self) -> int:
        """The file descriptor now registered with the poller; -1 if there is none."""
        return self._socket.fileno() if self._socket else -1

    def send(self, message: Message) -> None:
        """Sends `message`; without a connection a failure is queued, and any other message dropped."""
        line = encode(message)
        if self._lines is not None and self._lines.send(line):
            self._watch()
        elif isinstance(message, Failure):
            self._failures.append(line)
        else:
            self.unsent += 1

    def turn(self, now: float) -> None:
        """When due, starts to connect, or aborts a connection attempt that has timed out."""
        if now < self.next_turn:
            return
        if self._socket is not None:
            self._lose("no answer", now)
            return
        with inside(self._netns):
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.next_turn = now + _CONNECT_S
        code = self._socket.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            self._lose(os.strerror(code), now)
            return
        self._poller.register(self._socket, select.EPOLLIN | select.EPOLLOUT)

    def on_event(self, now: float) -> list[Message]:
        """Handles poller events for `fd`; returns the messages received from the controller."""
        if self._socket is None:
            return []
        if self._lines is None:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._lose(os.strerror(code), now)
                return []
            self._lines = self._greet(self._socket)
        messages: list[Message] = []
        try:
            for line in self._lines.receive():
                messages.append(decode(line))  # noqa: PERF401 - keeps those before a bad one
        except MessageError as error:
            self._lose("it sent an invalid message", now)
            failure = Failure(self._where, f"its controller sent an invalid message: {error}")
            self._tell(failure)
            self.send(failure)
            return messages
        self._lines.flush()
        if self._lines.ended is not None:
            self._lose(self._lines.ended, now)
        else:
            self._watch()
        return messages

    def close(self) -> None:
        """Sends what the socket buffer takes, and closes the connection."""
        if self._lines is not None:
            self._lines.flush()
        if self._socket is not None:
            self._poller.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _greet(self, connected: socket.socket) -> LineSocket:
        lines = LineSocket(connected)
        self._pause = _FIRST_PAUSE_S
        self.next_turn = float("inf")
        for line in (self._hello, *self._failures):
            lines.send(line)
        self._failures.clear()
        if self._told_missing:
            self._tell(Notice(self._where, "the controller at {}:{} is reached again".format(*self._address)))
            self._told_missing = False
        return lines

    def _watch(self) -> None:
        """Polls for writability only while data is queued. The poller always reports a broken connection."""
        if self._lines is not None:
            self._poller.modify(self._lines, select.EPOLLIN | (select.EPOLLOUT if self._lines.waiting else 0))

    def _lose(self, why: str, now: float) -> None:
        connected, self._lines = self._lines is not None, None
        if self._socket is not None:
            self._socket.close()  # this also removes it from the poller
        self._socket = None
        if connected or not self._told_missing:
            verb = "lost" if connected else "cannot reach"
            text = "{} the controller at {}:{} ({}); goes on as it was".format(verb, *self._address, why)
            self._tell(Notice(self._where, text))
            self._told_missing = True
        self.next_turn = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)
