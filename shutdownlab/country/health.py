"""Whether everything that the emulated country consists of is alive and at work: a fault of ours is no verdict.

A process that was stopped for a moment and goes on leaves little trace. Of our own children the kernel remembers it
(waitid(2)); what they have forked themselves is looked at again and again while a phase is measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

EVERY_S: Final = 0.1
"""Between two looks. A pause shorter than this costs a probe nothing: the patience of its first try is far longer."""

_STOPPED: Final = frozenset({b"T", b"t"})
_ENDED: Final = frozenset({b"", b"Z", b"X"})
"""States in /proc/PID/stat (proc(5)); "" of a process that is gone."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What has gone wrong since the last one, a sentence each.

    doubts: what is mended already; whatever was measured meanwhile says nothing and can be measured again.
    lost: what cannot be mended while the country stands.
    """

    doubts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """All of it."""
        return (*self.lost, *self.doubts)


@dataclass(slots=True)
class Watch:
    """Notices processes of this sandbox that are stopped, or end, and lets stopped ones go on.

    titles: what to call our children, by process id. forking: those of them that fork a process for each client, whose
    end is in order.
    """

    titles: Mapping[int, str]
    forking: frozenset[int] = frozenset()
    _grandchildren: dict[int, str] = field(default_factory=dict)
    _stopped: dict[int, str] = field(default_factory=dict)
    _next: float = 0.0

    def begin(self) -> None:
        """From now on: let go on what is stopped, forget what was, and learn which processes there are."""
        for pid in self._changed_children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped.clear()
        self._grandchildren = {}
        self.learn()

    def learn(self) -> None:
        """Know of the processes that our children have forked since, too: an order may have a box start its proxy."""
        own = os.getpid()
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208 - every phase
            name, _, parent = _stat(pid)
            if parent in self.titles and parent != own and parent not in self.forking:
                self._grandchildren[pid] = f"{self.titles[parent]} ({name})"

    @property
    def processes(self) -> dict[int, str]:
        """All that is watched, by process id: what to call it."""
        return {**self.titles, **self._grandchildren}

    def look(self) -> None:
        """See whether any process that our children have forked is stopped; at most every 0.1 s."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        for pid, title in self._grandchildren.items():
            if _stat(pid)[1] in _STOPPED:
                self._stopped[pid] = title

    def examine(self) -> Examination:
        """What was stopped since `begin` and goes on now, and which of the grandchildren have ended."""
        self._next = 0.0
        self.look()
        self._stopped |= self._changed_children()
        for pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        doubts = tuple(f"{title} was stopped for a while" for title in dict.fromkeys(self._stopped.values()))
        lost = tuple(f"{title} has ended" for pid, title in self._grandchildren.items() if _stat(pid)[1] in _ENDED)
        self._stopped = {}
        return Examination(doubts, lost)

    def _changed_children(self) -> dict[int, str]:
        """Our children that were stopped, or were and go on, since this was last asked."""
        found: dict[int, str] = {}
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
            except ChildProcessError:
                return found
            if seen is None:
                return found
            title = self.titles.get(seen.si_pid)
            if title is not None:  # else a program that a user runs
                found[seen.si_pid] = title


def _stat(pid: int) -> tuple[str, bytes, int]:
    """A process's short name, its state, and its parent's id; no name and no state where there is none."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return "", b"", 0
    try:
        text = os.read(descriptor, 512)
    except OSError:
        return "", b"", 0
    finally:
        os.close(descriptor)
    name, _, rest = text.partition(b"(")[2].rpartition(b")")  # the name may have any bytes in it
    state, parent, *_ = rest.split()
    return name.decode(errors="replace"), state, int(parent)
