"""How long processes have waited for a CPU, or were held up by the kernel.

The kernel counts the time that each thread was runnable but not running: the second field of /proc/PID/schedstat, in
nanoseconds (Documentation/scheduler/sched-stats.rst of Linux). It does not count for how long it kept a thread in state
D (frozen by a control group of version 1, above its group's memory.high, waiting for a page or a disk) or T (stopped by
a signal or a debugger). That is sampled. One that is frozen by a control group of version 2 is in state S, as if it
waited for work; where it waits in the kernel tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_AGAIN_S: Final = 0.002
_READ: Final = 1 << 16
_LOOKS: Final = 4
"""A control group of version 2 is looked for in every fourth read only: that costs half as much as all the rest."""
_own: Final = dict[int, int]()
"""An open schedstat by the id of its process: a forked child must not read its parent's."""


def waited_s() -> float:
    """Seconds that this process's main thread has waited for a CPU; 0.0 if the kernel doesn't count that.

    Costs about 2 µs: probes ask at each of their steps, so the file stays open.
    """
    pid = os.getpid()
    if pid not in _own:
        file = _open("self")
        if file is None:
            return 0.0
        _own.clear()
        _own[pid] = file
    return int(os.pread(_own[pid], 128, 0).split()[1]) / 1e9


class WaitedTimes:
    """How long the main threads of some processes could not run: they waited for a CPU, were held up, or stopped.

    The latter two count only between two reads, each of which finds it so. Reading costs about 5 µs per process.
    pids: process ids, "PID/task/TID" for another thread, or "self" for this process.
    """

    def __init__(self, pids: Iterable[int | str]) -> None:
        self._threads = [_Thread(pid) for pid in pids]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        for thread in self._threads:
            thread.close()

    def read(self) -> list[float]:
        """Returns the seconds, in the order of `pids`; for an ended process the last value read, or 0.0."""
        now = time.monotonic()
        return [thread.read(now) for thread in self._threads]


class ThreadsWaitedTime:
    """How long a process's threads could not run since this object was made, adding up the longest of each time.

    Each `read` adds the longest of any one thread since the read before it. That of threads that have ended is lost, so
    this suits processes with long-lived threads. Reading costs about 15 µs per thread.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._threads = dict[str, tuple[_Thread, float]]()
        self._whole = 0.0
        self.read()
        self._whole = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        for thread, _ in self._threads.values():
            thread.close()

    def read(self) -> float:
        """Returns the seconds; for an ended process the last value read."""
        now, there = time.monotonic(), list[str]()
        with suppress(OSError):  # the process has ended
            there = os.listdir(f"/proc/{self._pid}/task")  # noqa: PTH208 - ten times a second
        for gone in self._threads.keys() - there:
            self._threads.pop(gone)[0].close()
        longest = 0.0
        for name in there:
            thread, before = self._threads.get(name) or (_Thread(f"{self._pid}/task/{name}", looks=1), 0.0)
            whole = thread.read(now)
            self._threads[name] = thread, whole
            longest = max(longest, whole - before)
        self._whole += longest
        return self._whole


class ProgramWaitedTime:
    """How long a program and its running descendants could not run: they waited for a CPU, were stopped, or held up.

    Each process counts with the thread that waited longest, since a Go program may work in any of its threads. What
    stops or freezes it, control groups of version 2 included, is noticed only by a read meanwhile. 0.0 if the kernel
    doesn't count waits. Descendants are left out if the kernel doesn't list a thread's children. No file stays open.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._at = time.monotonic()
        self._held = dict[str, tuple[bytes, float]]()
        """Of each thread, what schedstat said last, and for how many seconds it has been held up."""

    def read(self) -> float:
        """Returns the seconds of all of them together; what has ended no longer counts."""
        now, whole, left, held = time.monotonic(), 0.0, [self._pid], dict[str, tuple[bytes, float]]()
        while left:
            process, longest, names = left.pop(), 0.0, list[str]()
            with suppress(OSError):  # the process has ended
                names = os.listdir(f"/proc/{process}/task")  # noqa: PTH208 - ten times a second
            for name in names:
                with suppress(OSError, IndexError):
                    thread = f"/proc/{process}/task/{name}"
                    says = _content(f"{thread}/schedstat")
                    before, seconds = self._held.get(name, (b"", 0.0))
                    if says == before and _is_kept(thread):
                        seconds += now - self._at
                    held[name] = says, seconds
                    longest = max(longest, int(says.split()[1]) / 1e9 + seconds)
                with suppress(OSError):
                    left += map(int, _content(f"/proc/{process}/task/{name}/children").split())
            whole += longest
        self._held, self._at = held, now
        return whole


class _Thread:
    """One thread: its files, and what was read of it last.

    Whether a control group of version 2 has frozen it is looked at in every `looks`th read.
    """

    def __init__(self, pid: int | str, looks: int = _LOOKS) -> None:
        self._files = [_open(pid), _open(pid, "stat"), _open(pid, "wchan")]
        self._waited = self._held = 0.0
        self._slices, self._from = b"", 0.0  # from: it has not run since, and is not known to have been held up
        self._looks, self._reads = looks, 0

    def read(self, now: float) -> float:
        """Returns the seconds that it could not run so far; `now`: by `time.monotonic`."""
        schedstat, stat, wchan = self._files
        if schedstat is None or stat is None:
            return 0.0
        self._reads += 1
        with suppress(OSError):  # it has ended
            _, waited, slices = os.pread(schedstat, 128, 0).split()
            if slices != self._slices:  # it has run: also to be frozen
                self._from = now
            elif _state(os.pread(stat, 64, 0)) in _HELD or (
                wchan is not None and self._reads % self._looks == 0 and os.pread(wchan, 64, 0) == _FROZEN
            ):
                self._held += now - self._from
                self._from = now
            self._waited, self._slices = int(waited) / 1e9, slices
        return self._waited + self._held

    def close(self) -> None:
        for file in self._files:
            if file is not None:
                os.close(file)


_FROZEN: Final = b"get_signal"
"""Where a thread waits that a control group of version 2 has frozen."""


_HELD: Final = frozenset({b"D", b"T", b"t"})
"""States in /proc/PID/stat (proc(5)) of threads that the kernel holds up, and of stopped ones."""


def _state(stat: bytes) -> bytes:
    return stat.rpartition(b") ")[2][:1]


def _is_kept(thread: str) -> bool:
    """Whether a thread, by its directory in /proc, is stopped, in state D, or frozen."""
    state = _state(_content(f"{thread}/stat"))
    return state in _HELD or (state == b"S" and _content(f"{thread}/wchan") == _FROZEN)


def _content(path: str) -> bytes:
    """Returns a short file's content, faster than pathlib does. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _READ)
    finally:
        os.close(descriptor)


def wait_for_its_turn(pid: int, longest: float) -> None:
    """Waits until a process is not waiting for a CPU or has run since the call, for at most `longest` seconds.

    Needed because the kernel adds a wait to its count only when the wait is over.
    """
    end, before = time.monotonic() + longest, ""
    with suppress(OSError, IndexError):  # the process has ended, or the kernel doesn't count waits
        while time.monotonic() < end:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            ran = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
            if state != "R" or ran != (before or ran):
                return
            before = ran
            time.sleep(_AGAIN_S)


def had_none(share: float) -> str:
    """Completes a sentence about a process that waited for a CPU for `share` (0 to 1) of the time."""
    return f"had no processor for {round(100 * share)} % of the time: this machine is busy, or has frozen it"


def had_none_for(seconds: float) -> str:
    """Completes a sentence about a process that waited for a CPU for `seconds`."""
    return f"had no processor for {seconds:.2f} s: this machine is busy, or has frozen it"


def _open(pid: int | str, name: str = "schedstat") -> int | None:
    """Opens such a file of a process; None if it has ended, or the kernel was built without CONFIG_SCHED_INFO."""
    try:
        return os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
