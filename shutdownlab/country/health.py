"""Checks that every process of the emulated country is alive and running: a failure of ours is no verdict.

A process that is stopped for a moment and then continues leaves little trace. For our own children the kernel records
it (waitid(2)); what these have forked is sampled while a phase is measured.
"""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

EVERY_S: Final = 0.1
"""Sampling interval. A shorter pause does not matter to a probe: the timeout of its first try is far longer."""

_STOPPED: Final = frozenset({b"T", b"t"})
_ENDED: Final = frozenset({b"", b"Z", b"X"})
"""States in /proc/PID/stat (proc(5)) of stopped and of ended processes; "" if the process no longer exists."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What has gone wrong since the last examination, a sentence each.

    doubts: faults that are already repaired; measurements made meanwhile are void and can be repeated. lost: faults
    that cannot be repaired in this country.
    """

    doubts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """All of it, `lost` first."""
        return (*self.lost, *self.doubts)


@dataclass(slots=True)
class Watch:
    """Notices processes of this sandbox that are stopped or end, and resumes stopped ones.

    titles: names of our children, by process id. forking: those of them that fork a process for each client, whose end
    is normal.
    """

    titles: Mapping[int, str]
    forking: frozenset[int] = frozenset()
    _descendants: dict[int, str] = field(default_factory=dict)
    _stopped: dict[int, str] = field(default_factory=dict)
    _next: float = 0.0

    def begin(self) -> None:
        """Starts afresh: resumes stopped processes, forgets past stops, and learns which processes exist."""
        for pid in self._changed_children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._stopped.clear()
        self._descendants = {}
        self.learn()

    def learn(self) -> None:
        """Adds what our children, and theirs, have forked since: an order may make a box start its proxy."""
        own, forked = os.getpid(), defaultdict[int, list[tuple[int, str]]](list)
        for pid in (int(name) for name in os.listdir("/proc") if name.isdecimal()):  # noqa: PTH208 - every phase
            name, _, parent = _stat(pid)
            forked[parent].append((pid, name))
        for ancestor in self.titles.keys() - {own} - self.forking:
            below = [*forked[ancestor]]
            for pid, name in below:
                if pid not in self.titles:
                    self._descendants[pid] = f"{self.titles[ancestor]} ({name})"
                    below += forked[pid]

    @property
    def processes(self) -> dict[int, str]:
        """Names of all watched processes, by process id."""
        return {**self.titles, **self._descendants}

    def look(self) -> None:
        """Samples whether any process that our children forked is stopped; at most every 0.1 s."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY_S
        for pid, title in self._descendants.items():
            if _stat(pid)[1] in _STOPPED:
                self._stopped[pid] = title

    def examine(self) -> Examination:
        """Returns which processes were stopped since `begin` (and resumes them), and which of the forked have ended."""
        self._next = 0.0
        self.look()
        self._stopped |= self._changed_children()
        for pid in self._stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        doubts = tuple(f"{title} was stopped for a while" for title in dict.fromkeys(self._stopped.values()))
        lost = tuple(f"{title} has ended" for pid, title in self._descendants.items() if _stat(pid)[1] in _ENDED)
        self._stopped = {}
        return Examination(doubts, lost)

    def _changed_children(self) -> dict[int, str]:
        """Returns our children that were stopped or resumed since the last call."""
        found: dict[int, str] = {}
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
            except ChildProcessError:
                return found
            if seen is None:
                return found
            title = self.titles.get(seen.si_pid)
            if title is not None:  # other children are programs that a user runs
                found[seen.si_pid] = title


def _stat(pid: int) -> tuple[str, bytes, int]:
    """Returns a process's short name, state and parent's id; ("", b"", 0) if it does not exist."""
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
    name, _, rest = text.partition(b"(")[2].rpartition(b")")  # the name may contain any bytes
    state, parent, *_ = rest.split()
    return name.decode(errors="replace"), state, int(parent)
