"""Messages between a program and its lab over a Unix socket, with open files attached."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from shutdownlab.protocol.messages import Message, decode, encode
from shutdownlab.system.line_socket import LineSocket


class MessageSocket:
    """One end of the connection. Any thread may send; one at a time may receive."""

    def __init__(self, connected: socket.socket) -> None:
        self._lines = LineSocket(connected, waits=True)

    def fileno(self) -> int:
        """Returns the file descriptor that becomes readable when `receive` has something."""
        return self._lines.fileno()

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Sends a message with copies of open files; raises BrokenPipeError if the other end is gone."""
        if not self._lines.send_with(encode(message), files):
            raise BrokenPipeError(self._lines.ended)

    def receive(self) -> Iterator[Message]:
        """Waits for the next messages and yields them.

        When a message arrives, so have its files: take them with `take_files`. Raises EOFError once the other end has
        hung up, MessageError for an invalid message.
        """
        lines = self._lines.receive()
        if not lines:
            raise EOFError(self._lines.ended)
        yield from map(decode, lines)

    def take_files(self, count: int) -> tuple[int, ...]:
        """Returns the next file descriptors received, in order; the caller closes them."""
        return self._lines.take_files(count)

    def hang_up(self) -> None:
        """Stops sending: the other end's `receive` raises EOFError once it has read everything."""
        self._lines.hang_up()

    def close(self) -> None:
        """Closes the socket, and any files that were not taken."""
        self._lines.close()


def socket_pair() -> tuple[MessageSocket, socket.socket]:
    """Returns two connected ends; the second is for another process, by its file descriptor."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return MessageSocket(near), far
