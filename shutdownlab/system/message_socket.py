"""Messages over a Unix stream socket, and file descriptors with them."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress

from shutdownlab.protocol.messages import Inbox, Message, encode

_CHUNK = 1 << 18
_MOST_FILES = 64
"""Descriptors that one read takes; the kernel ends a read after a message that has some, and ours have three."""


class MessageSocket:
    """One end. Any thread may send; one at a time may receive."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._sending = threading.Lock()
        self._inbox = Inbox()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """The descriptor that is readable when `receive` has something."""
        return self._socket.fileno()

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Send a message with copies of open files; raises OSError (BrokenPipeError) when the other end is gone."""
        data = encode(message)
        with self._sending:
            sent = socket.send_fds(self._socket, [data], files) if files else 0
            self._socket.sendall(memoryview(data)[sent:])

    def receive(self) -> Iterator[Message]:
        """Wait for what comes next, and yield the messages that are complete with it.

        A message's files are there when it is: take them by `take_files`. Raises EOFError when the other end has hung
        up, MessageError on what is no message.
        """
        try:
            data, files, _, _ = socket.recv_fds(self._socket, _CHUNK, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, files = b"", []
        self._files.extend(files)
        if not data:
            raise EOFError
        yield from self._inbox.feed(data)

    def take_files(self, count: int) -> tuple[int, ...]:
        """The next descriptors that came, in their order; whoever takes them closes them."""
        return tuple(self._files.popleft() for _ in range(count))

    def hang_up(self) -> None:
        """Send no more: the other end's `receive` raises EOFError once it has read all."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the socket, and of files that nobody took."""
        self._socket.close()
        while self._files:
            os.close(self._files.popleft())


def socket_pair() -> tuple[MessageSocket, socket.socket]:
    """Two ends; the second is for another process, by its descriptor."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return MessageSocket(ours), theirs
