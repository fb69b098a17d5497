"""Writes events as lines of JSON, for another program to read."""

from __future__ import annotations

import os
import re

from shutdownlab.results.events import Event, encode

_DESCRIPTOR = re.compile("[0-9]{1,9}")


class EventLines:
    """Writes every event, transient ones included, to a file or an open file descriptor, until a write fails."""

    def __init__(self, target: str) -> None:
        """target: a path, or the number of an open file descriptor. Raises `OSError` if it cannot be opened."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.dup(int(target)) if _DESCRIPTOR.fullmatch(target) else os.open(target, flags, 0o666)
        self._target = target
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self.lost = ""
        """Why events are no longer written; "" while they are."""

    def __call__(self, event: Event) -> None:
        """Writes an event at once, unless a write has failed."""
        if self.lost:
            return
        line = memoryview(encode(event))
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self.lost = f"events cannot be written to {self._target}: {(error.strerror or str(error)).lower()}"
