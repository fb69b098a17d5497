"""Messages between a program and the lab it has opened, over a Unix socket, and open files with them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from shutdownlab.protocol.messages import Message, decode, encode
from shutdownlab.system.line_socket import LineSocket


class MessageSocket:
    """One end. Any thread may send; one at a time may receive."""

    def __init__(self, connected: socket.socket) -> None:
        self._lines = LineSocket(connected, waits=True)

    def fileno(self) -> int:
        """The descriptor that is readable when `receive` has something."""
        return self._lines.fileno()

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Send a message with copies of open files; raises BrokenPipeError when the other end is gone."""
        if not self._lines.send_with(encode(message), files):
            raise BrokenPipeError(self._lines.ended)

    def receive(self) -> Iterator[Message]:
        """Wait for what comes next, and yield it.

        A message's files are there when it is: take them by `take_files`. Raises EOFError when the other end has hung
        up, MessageError on what is no message.
        """
        lines = self._lines.receive()
        if not lines:
            raise EOFError(self._lines.ended)
        yield from map(decode, lines)

    def take_files(self, count: int) -> tuple[int, ...]:
        """The next descriptors that came, in their order; whoever takes them closes them."""
        return self._lines.take_files(count)

    def hang_up(self) -> None:
        """Send no more: the other end's `receive` raises EOFError once it has read all."""
        self._lines.hang_up()

    def close(self) -> None:
        """Let go of the socket, and of files that nobody took."""
        self._lines.close()


def socket_pair() -> tuple[MessageSocket, socket.socket]:
    """Two ends; the second is for another process, by its descriptor."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return MessageSocket(ours), theirs
