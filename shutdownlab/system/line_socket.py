"""Newline-terminated messages over a stream socket, in both directions: the framing between all our processes.

Over a Unix socket, file descriptors can be sent along with a line."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from shutdownlab.system import polling

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Longest line accepted, in bytes: enough for a policy of a million names, but stops a peer that never ends a line."""

BACKLOG: Final = 4 * 1024 * 1024
"""Bytes queued for a peer that doesn't read, beyond which `send` refuses lines."""

NO_SIGNAL: Final = socket.MSG_NOSIGNAL
"""Makes a closed peer an error even if a library has reset SIGPIPE to its default, as mrtparse does on import."""

CLOSED: Final = "it closed the connection"
"""`LineSocket.ended` when the peer closed the connection or terminated."""

_CHUNK: Final = 1 << 16
_SEND_S: Final = 5
_MOST_FILES: Final = 64
"""Most file descriptors accepted by one read; the kernel ends a read after data that carries descriptors."""


class LineSocket:
    """One end of a connection. `send` may be called from any thread; no method raises when the connection is lost."""

    def __init__(self, connected: socket.socket, *, waits: bool = False, limit: int = LINE_LIMIT) -> None:
        """Takes ownership of `connected`, a TCP or Unix stream socket.

        waits: whether to block, for use in threads: `receive` blocks until a line arrives, and `send` for up to 5
            seconds until the peer reads, after which the connection counts as ended. Otherwise nothing blocks, for use
            with a poller.
        limit: maximum length of a line, in bytes.
        """
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(waits)
        if waits:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
        self._socket = connected
        self._unix = connected.family == socket.AF_UNIX
        self._waits = waits
        self._limit = limit
        self._lock = threading.RLock()
        self._outgoing = bytearray()
        self._incoming: list[bytes] = []
        self._files: deque[int] = deque()
        self._length = 0
        self.ended: str | None = None
        """Why the connection has ended; None while it is open."""

    def fileno(self) -> int:
        """Returns the file descriptor, which is readable when `receive` has data; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def waiting(self) -> int:
        """Bytes not yet written to the socket: call `flush` when the descriptor becomes writable."""
        return len(self._outgoing)

    def send(self, line: bytes) -> bool:
        """Sends a newline-terminated line, now or in a later `flush`. False if it will never be sent."""
        with self._lock:
            if self.ended is not None or len(self._outgoing) > BACKLOG:
                return False
            self._outgoing += line
            self._write()
            return self.ended is None

    def send_with(self, line: bytes, files: Sequence[int]) -> bool:
        """Sends a line along with file descriptors, over a blocking Unix socket. False if it will never be sent."""
        with self._lock:
            if self.ended is None and files:
                try:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", files))]
                    sent = self._socket.sendmsg([line], rights, NO_SIGNAL)  # socket.send_fds drops the flags
                except OSError as error:
                    self._end(error.strerror or str(error))
                else:
                    line = line[sent:]
            return self.send(line)

    def take_files(self, count: int) -> tuple[int, ...]:
        """Returns the next `count` descriptors received with lines, in order; the caller must close them.

        Raises IndexError if fewer have been received.
        """
        return tuple(self._files.popleft() for _ in range(count))

    def flush(self, wait_s: float = 0.0) -> bool:
        """Sends queued data for up to `wait_s` seconds; returns whether all of it has been sent."""
        end = time.monotonic() + wait_s
        while True:
            with self._lock:
                self._write()
                if not self._outgoing or self.ended is not None:
                    return not self._outgoing
            left = end - time.monotonic()
            if left <= 0:
                return False
            polling.wait(writing=[self._socket], seconds=left)

    def receive(self) -> list[bytes]:
        """Returns the lines received, without newlines and without blank lines; check `ended` afterwards."""
        lines: list[bytes] = []
        while self.ended is None and not (self._waits and lines):
            try:
                data = self._read()
            except BlockingIOError:
                break
            except OSError as error:
                self._end(error.strerror or str(error))
                break
            lines += self._cut(data)
            if not data:
                self._end(CLOSED)
            elif self._length > self._limit:
                self._end(f"a line of more than {self._limit} bytes: {self._incoming[0][:120]!r}…")
        return lines

    def shut_down(self) -> None:
        """Shuts the connection down in both directions: a `receive` blocked in another thread returns."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.close()

    def hang_up(self) -> None:
        """Shuts down the sending direction: the peer sees end of file once it has read everything."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Closes the socket and any received descriptors that were not taken."""
        self._end("it is closed")
        self._socket.close()
        while self._files:
            os.close(self._files.popleft())

    def _read(self) -> bytes:
        if not self._unix:
            return self._socket.recv(_CHUNK)
        data, files, _, _ = socket.recv_fds(self._socket, _CHUNK, _MOST_FILES, socket.MSG_CMSG_CLOEXEC)
        self._files.extend(files)
        return data

    def _cut(self, data: bytes) -> list[bytes]:
        first, *others = data.split(b"\n")
        self._incoming.append(first)
        self._length += len(first)
        if not others:
            return []
        *whole, rest = others
        lines = [b"".join(self._incoming), *whole]
        self._incoming = [rest]
        self._length = len(rest)
        return [line for line in lines if line.strip()]

    def _write(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing, NO_SIGNAL)]
        except BlockingIOError:
            if self._waits:
                self._end(f"it has read nothing for {_SEND_S} s")
        except OSError as error:
            self._end(error.strerror or str(error))

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why
