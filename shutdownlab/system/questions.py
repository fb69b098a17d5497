"""Queries many daemons over their control sockets concurrently, with one deadline for all of them."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 65536


@dataclass(frozen=True, slots=True)
class SocketQuestion:
    """A request to the daemon listening at `path` (AF_UNIX).

    is_whole: whether the bytes received so far are the complete reply; None: it ends with the connection.
    """

    path: Path
    request: bytes
    is_whole: Callable[[bytes], bool] | None


def ask_all(questions: Mapping[str, SocketQuestion], seconds: float) -> dict[str, bytes]:
    """Sends all questions and returns the complete replies by the questions' names.

    Questions without a complete reply within `seconds`, or whose daemon is unreachable, are missing from the result.
    """
    end = time.monotonic() + seconds
    replies: dict[str, bytes] = {}
    with ExitStack() as opened, selectors.DefaultSelector() as selector:
        waiting: dict[socket.socket, tuple[str, bytearray]] = {}
        for name, question in questions.items():
            connection = opened.enter_context(socket.socket(socket.AF_UNIX))
            connection.setblocking(False)
            try:
                connection.connect(str(question.path))
                connection.sendall(question.request)
            except OSError:
                continue  # not running, or its queue of pending connections is full
            selector.register(connection, selectors.EVENT_READ)
            waiting[connection] = name, bytearray()
        while waiting and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                connection = key.fileobj  # type: ignore[assignment]
                name, data = waiting[connection]
                block = _received(connection)
                data += block or b""
                is_whole = questions[name].is_whole
                whole = block == b"" if is_whole is None else is_whole(bytes(data))
                if whole:
                    replies[name] = bytes(data)
                if whole or not block:
                    selector.unregister(connection)
                    del waiting[connection]
    return replies


def _received(connection: socket.socket) -> bytes | None:
    """Returns what has come, b"" at the end; None if the connection is broken."""
    try:
        return connection.recv(_BLOCK)
    except OSError:
        return None
