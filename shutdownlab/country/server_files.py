"""Notes which files of servers and routers somebody else changes, from the first phase on.

A server that is told to read them again then serves some subscribers otherwise than an order says, and the controls,
which ask from elsewhere, vouch for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from shutdownlab.servers.daemon import Daemon

_MOST: Final = 3
"""So many of a server's files are named."""
_Stamp: TypeAlias = tuple[int, int, int] | None


@dataclass(slots=True)
class ServerFiles:
    """The files that we have written, as they were when the first phase began or when we wrote them anew."""

    _stamps: dict[Path, _Stamp] = field(default_factory=dict)
    _titles: dict[Path, str] = field(default_factory=dict)

    def begin(self, daemons: Iterable[Daemon]) -> None:
        """Looks at all files that are not known yet; programs that a user brings may change their own."""
        for daemon in daemons:
            for path in (daemon.directory / name for name in daemon.files if not daemon.forks):
                if path not in self._stamps:
                    self._stamps[path], self._titles[path] = _stamp(path), daemon.title

    def wrote(self, path: Path) -> None:
        """Says that an order has changed this file."""
        if path in self._stamps:
            self._stamps[path] = _stamp(path)

    def found(self) -> Iterator[str]:
        """Yields a sentence for each server of which a file has been changed since the last call."""
        changed = dict[str, list[str]]()
        for path, before in self._stamps.items():
            if (now := _stamp(path)) != before:
                self._stamps[path] = now
                changed.setdefault(self._titles[path], []).append(path.name)
        for title, names in changed.items():
            yield f"somebody has changed {' and '.join(names[:_MOST])} of {title}"


def _stamp(path: Path) -> _Stamp:
    """Returns what differs if a file is written or replaced, also with its time put back; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - some hundred files a phase
    except OSError:
        return None
    return found.st_ctime_ns, found.st_size, found.st_ino
