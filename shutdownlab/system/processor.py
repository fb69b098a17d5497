"""What processes got of the machine's processors.

The kernel counts for how long each could have run and had none: the second figure of /proc/PID/schedstat, in
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


def waited_s() -> float:
    """Seconds that this process' first thread could have run and had no processor; 0.0 where that is not counted.

    Costs some 6 µs.
    """
    with WaitedTimes(["self"]) as waited:
        return waited.read()[0]


def waited_with_children_s(pid: int) -> float:
    """Seconds that a process and whatever it has started that is there still had no processor, one after the other.

    Of each it is the thread that waited longest: a program in Go works in any of its own. 0.0 where the kernel does not
    count that; what the process has started is left out by a kernel that does not tell its children.
    """
    whole, left = 0.0, [pid]
    while left:
        process, threads = left.pop(), list[str]()
        with suppress(OSError):  # it is no more
            threads = [entry.name for entry in Path(f"/proc/{process}/task").iterdir()]
        with WaitedTimes(f"{process}/task/{thread}" for thread in threads) as waited:
            whole += max(waited.read(), default=0.0)
        for thread in threads:
            with suppress(OSError):
                left += map(int, Path(f"/proc/{process}/task/{thread}/children").read_bytes().split())
    return whole


class WaitedTimes:
    """How long the first thread of each of some processes has waited for a processor; some 1 µs for each to read.

    Of a thread where one is named as PID/task/TID, of this process by "self".
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
        """Seconds, in the order of the processes: of one that is no more what was read last, 0.0 if nothing was."""
        for number, file in enumerate(self._files):
            if file is not None:
                with suppress(OSError):  # it is no more
                    self._last[number] = int(os.pread(file, 128, 0).split()[1]) / 1e9
        return list(self._last)


class ThreadsWaitedTime:
    """How long one thread or another of a process has waited for a processor, from now on: of two at once the longer.

    For a process that works in threads that stay (of one that has ended nothing is known); some 20 µs for each to read.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._last = self._read()
        self._whole = 0.0

    def read(self) -> float:
        """Seconds; of a process that is no more what was read last."""
        now = self._read()
        self._whole += max((waited - self._last.get(thread, 0.0) for thread, waited in now.items()), default=0.0)
        self._last = now
        return self._whole

    def _read(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with suppress(OSError):  # it is no more
            for entry in os.scandir(f"/proc/{self._pid}/task"):
                with suppress(OSError):  # so is the thread, or the kernel does not count
                    found[entry.name] = int(Path(entry.path, "schedstat").read_bytes().split()[1]) / 1e9
        return found


def wait_for_its_turn(pid: int, longest: float) -> None:
    """Return once a process waits for no processor, or has had one since, or after so many seconds.

    The kernel counts a wait when it is over.
    """
    end, before = time.monotonic() + longest, ""
    with suppress(OSError, IndexError):  # it is no more, or the kernel does not count
        while time.monotonic() < end:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            ran = Path(f"/proc/{pid}/schedstat").read_text().split()[0]
            if state != "R" or ran != (before or ran):
                return
            before = ran
            time.sleep(_AGAIN_S)


def had_none(share: float) -> str:
    """The end of a sentence about what had no processor for such a share of the time, 0 to 1."""
    return f"had no processor for {round(100 * share)} % of the time: this machine is busy"


def had_none_for(seconds: float) -> str:
    """The end of a sentence about what had no processor for so many seconds."""
    return f"had no processor for {seconds:.2f} s: this machine is busy"


def _open(pid: int | str) -> int | None:
    """None: the process is no more, or the kernel was built without CONFIG_SCHED_INFO."""
    try:
        return os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
