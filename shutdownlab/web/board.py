"""What the page shows at the moment, by parts, and who is to be told which have changed.

A viewer is told the newest of each part that it does not have yet. So nobody has a queue: one that is slow, or away for
an hour, misses what was between, and costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

_MOST_TOLD: Final = 32
"""Versions that viewers may have, of which what is told is kept."""


class Board:
    """Parts by their names, each as JSON with the version in which it came to be so. Any thread may post."""

    def __init__(self) -> None:
        self.version = 0
        self._parts: dict[str, tuple[int, str]] = {}
        self._gone: dict[str, int] = {}
        self._told_of, self._told = 0, dict[int, str]()
        """What was told at the newest version to those who had an older one."""
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def post(self, parts: Mapping[str, Any], *, family: str = "") -> None:
        """Put parts up. family: those that begin so, and are not among them, are taken down."""
        encoded = {name: json.dumps(value, separators=(",", ":"), ensure_ascii=False) for name, value in parts.items()}
        with self._lock:
            changed = {name: text for name, text in encoded.items() if self._parts.get(name, (0, ""))[1] != text}
            gone = [name for name in self._parts if family and name.startswith(family) and name not in encoded]
            if not changed and not gone:
                return
            self.version += 1
            for name, text in changed.items():
                self._parts[name] = self.version, text
                self._gone.pop(name, None)
            for name in gone:
                del self._parts[name]
                self._gone[name] = self.version
            waiting = list(self._waiting)
        for loop, event in waiting:
            with suppress(RuntimeError):  # the server has ended, and its loop is closed
                loop.call_soon_threadsafe(event.set)

    def since(self, version: int) -> tuple[int, str]:
        """The version now, and as JSON what has changed since one: `{"version", "set": {…}, "gone": […]}`.

        Made once for all viewers that lack the same.
        """
        with self._lock:
            if self._told_of != self.version or len(self._told) >= _MOST_TOLD:
                self._told_of, self._told = self.version, {}
            if version not in self._told:
                self._told[version] = self._since(version)
            return self.version, self._told[version]

    def _since(self, version: int) -> str:
        found = ",".join(f"{json.dumps(n)}:{text}" for n, (at, text) in self._parts.items() if at > version)
        gone = json.dumps([name for name, at in self._gone.items() if at > version])
        return f'{{"version":{self.version},"set":{{{found}}},"gone":{gone}}}'

    async def changed(self, version: int, seconds: float) -> bool:
        """Wait until there is more than this version, for so many seconds at most; whether there is."""
        event = asyncio.Event()
        mine = asyncio.get_running_loop(), event
        with self._lock:
            if self.version > version:
                return True
            self._waiting.add(mine)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._waiting.discard(mine)
        return True
