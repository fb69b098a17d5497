"""Events as lines of JSON, for another program to read."""

from __future__ import annotations

import os

from shutdownlab.results.events import Event, encode


class EventLines:
    """Writes every event, transient ones too, to a file or an open descriptor."""

    def __init__(self, target: str) -> None:
        """target: a path, or the number of a descriptor. Raises OSError where it cannot be written."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.dup(int(target)) if target.isdecimal() else os.open(target, flags, 0o666)
        self._file = os.fdopen(descriptor, "wb")

    def __call__(self, event: Event) -> None:
        """Write it at once; raises OSError (BrokenPipeError where nobody reads)."""
        self._file.write(encode(event))
        self._file.flush()
