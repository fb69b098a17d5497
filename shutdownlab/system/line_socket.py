"""Lines over a stream socket, both ways: the one framing between processes of ours, whatever the lines say.

Over a Unix socket, open files can go with a line."""

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
"""Longest line accepted, bytes: a policy of a million names fits; a peer that never ends its line does not."""

BACKLOG: Final = 4 * 1024 * 1024
"""Bytes that may wait for a peer that does not read; then no more are taken."""

NO_SIGNAL: Final = socket.MSG_NOSIGNAL
"""A peer that is gone is an error even where a library has given SIGPIPE its default, as mrtparse does on import."""

CLOSED: Final = "it closed the connection"
"""Why a connection is no more whose other end has closed it, or is no more itself."""

_CHUNK: Final = 1 << 16
_SEND_S: Final = 5
_MOST_FILES: Final = 64
"""Descriptors that one read takes; the kernel ends a read after data that has some with it."""


class LineSocket:
    """One end of a connection. `send` may be called from any thread; no method raises when the connection is gone."""

    def __init__(self, connected: socket.socket, *, waits: bool = False, limit: int = LINE_LIMIT) -> None:
        """Own `connected`, a TCP or Unix stream socket.

        waits: `receive` waits for a line to come, and `send` up to 5 seconds for the peer to read, whose connection
        then counts as ended: for use in threads. Otherwise nothing ever waits: for use with a poller.
        limit: of a line's length, in bytes.
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
        """Why the connection is no more; None as long as it stands."""

    def fileno(self) -> int:
        """The descriptor, readable when `receive` has something; -1 once it is closed."""
        return self._socket.fileno()

    @property
    def waiting(self) -> int:
        """Bytes that the peer's side has not taken yet: `flush` when the descriptor is writable."""
        return len(self._outgoing)

    def send(self, line: bytes) -> bool:
        """Send a line, which ends with a newline, now or by a later `flush`; False if it will never be sent."""
        with self._lock:
            if self.ended is not None or len(self._outgoing) > BACKLOG:
                return False
            self._outgoing += line
            self._write()
            return self.ended is None

    def send_with(self, line: bytes, files: Sequence[int]) -> bool:
        """Send a line, and copies of open files; for a Unix socket that waits. False if it will never be sent."""
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
        """The next descriptors that came with lines, in their order; whoever takes them closes them."""
        return tuple(self._files.popleft() for _ in range(count))

    def flush(self, wait_s: float = 0.0) -> bool:
        """Send what waits, for at most so long; whether nothing waits any more."""
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
        """The lines that have come, without their newlines and without empty ones; see `ended` afterwards."""
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
        """End the connection for both sides: a `receive` that waits in another thread returns."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.close()

    def hang_up(self) -> None:
        """Send no more: the other end learns of it once it has read all."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the descriptor, and of files that nobody took."""
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
