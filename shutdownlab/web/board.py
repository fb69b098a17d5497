"""The page's current contents as named parts, and the changes since any version.

A viewer receives the newest version of each part that has changed since its own version. So there are no queues: a
viewer that is slow, or was away for an hour, misses the versions in between and costs nothing.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

_MOST_CACHED: Final = 32
"""Most viewers' versions for which the changes since then are cached."""


class Board:
    """Parts by name, each as JSON with the version in which it last changed. Any thread may post."""

    def __init__(self) -> None:
        self.version = 0
        self._parts: dict[str, tuple[int, str]] = {}
        self._gone: dict[str, int] = {}
        self._cached_version, self._cached = 0, dict[int, str]()
        """The version for which changes are cached, and the cached changes by the older version they start from."""
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.is_closed = False

    def post(self, parts: Mapping[str, Any], *, family: str = "") -> None:
        """Sets parts. family: other parts whose names start with this prefix are removed; "" for none."""
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
        self._wake()

    def close(self) -> None:
        """Announces that nothing more will be posted: whoever waits is woken, and none waits from now on."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            with suppress(RuntimeError):  # the server has stopped and closed its loop
                loop.call_soon_threadsafe(event.set)

    def since(self, version: int) -> tuple[int, str]:
        """Returns the current version and the changes since `version`, as JSON: `{"version", "set": {…}, "gone": […]}`.

        Viewers with the same version share one serialisation.
        """
        with self._lock:
            if self._cached_version != self.version or len(self._cached) >= _MOST_CACHED:
                self._cached_version, self._cached = self.version, {}
            if version not in self._cached:
                self._cached[version] = self._since(version)
            return self.version, self._cached[version]

    def _since(self, version: int) -> str:
        found = ",".join(f"{json.dumps(n)}:{text}" for n, (at, text) in self._parts.items() if at > version)
        gone = json.dumps([name for name, at in self._gone.items() if at > version])
        return f'{{"version":{self.version},"set":{{{found}}},"gone":{gone}}}'

    async def changed(self, version: int, seconds: float) -> bool:
        """Waits up to `seconds`, or until it is closed, for a newer version than `version`; returns whether there is
        one."""
        event = asyncio.Event()
        waiting = asyncio.get_running_loop(), event
        with self._lock:
            if self.version > version or self.is_closed:
                return self.version > version
            self._waiting.add(waiting)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        finally:
            with self._lock:
                self._waiting.discard(waiting)
        return self.version > version
