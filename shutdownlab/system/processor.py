"""How long processes have waited for a CPU.

The kernel counts the time that each thread was runnable but not running: the second field of /proc/PID/schedstat, in
nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
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


def waited_with_children_s(pid: int) -> float:
    """Total seconds that a process and its running descendants have waited for a CPU.

    Each process counts with the thread that waited longest, since a Go program may work in any of its threads. 0.0 if
    the kernel doesn't count waits. Descendants are left out if the kernel doesn't list a thread's children.
    """
    whole, left = 0.0, [pid]
    while left:
        process, threads = left.pop(), list[str]()
        with suppress(OSError):  # the process has ended
            threads = [entry.name for entry in Path(f"/proc/{process}/task").iterdir()]
        with WaitedTimes(f"{process}/task/{thread}" for thread in threads) as waited:
            whole += max(waited.read(), default=0.0)
        for thread in threads:
            with suppress(OSError):
                left += map(int, Path(f"/proc/{process}/task/{thread}/children").read_bytes().split())
    return whole


class WaitedTimes:
    """How long the main threads of some processes have waited for a CPU. Reading costs about 1 µs per process.

    pids: process ids, "PID/task/TID" for another thread, or "self" for this process.
    """

    def __init__(self, pids: Iterable[int | str]) -> None:
        self._files = [_open(pid) for pid in pids]
        self._last = [0.0] * len(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            if file is not None:
                os.close(file)

    def read(self) -> list[float]:
        """Returns the seconds waited, in the order of `pids`; for an ended process the last value read, or 0.0."""
        for number, file in enumerate(self._files):
            if file is not None:
                with suppress(OSError):  # the process has ended
                    self._last[number] = int(os.pread(file, 128, 0).split()[1]) / 1e9
        return list(self._last)


class ThreadsWaitedTime:
    """How long a process's threads have waited for a CPU since this object was made, adding up the longest waits.

    Each `read` adds the longest wait of any one thread since the read before it. Waits of threads that have ended are
    lost, so this suits processes with long-lived threads. Reading costs about 20 µs per thread.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last = self._read()
        self._whole = 0.0

    def read(self) -> float:
        """Returns the seconds waited; for an ended process the last value read."""
        now = self._read()
        self._whole += max((waited - self._last.get(thread, 0.0) for thread, waited in now.items()), default=0.0)
        self._last = now
        return self._whole

    def _read(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with suppress(OSError):  # the process has ended
            for entry in os.scandir(f"/proc/{self._pid}/task"):
                with suppress(OSError):  # the thread has ended, or the kernel doesn't count waits
                    found[entry.name] = int(Path(entry.path, "schedstat").read_bytes().split()[1]) / 1e9
        return found


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
    return f"had no processor for {round(100 * share)} % of the time: this machine is busy"


def had_none_for(seconds: float) -> str:
    """Completes a sentence about a process that waited for a CPU for `seconds`."""
    return f"had no processor for {seconds:.2f} s: this machine is busy"


def _open(pid: int | str) -> int | None:
    """Opens a process's schedstat; None if it has ended, or the kernel was built without CONFIG_SCHED_INFO."""
    try:
        return os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
