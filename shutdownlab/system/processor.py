"""What processes got of the machine's processors.

The kernel counts for how long each could have run and had none: the second figure of /proc/PID/schedstat, in
nanoseconds (Documentation/scheduler/sched-stats.rst of Linux).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self


def waited_s() -> float:
    """Seconds that this process' first thread could have run and had no processor; 0.0 where that is not counted.

    Costs some 6 µs.
    """
    with WaitedTimes([os.getpid()]) as waited:
        return waited.read()[0]


class WaitedTimes:
    """How long the first thread of each of some processes has waited for a processor; some 1 µs for each to read."""

    def __init__(self, pids: Iterable[int]) -> None:
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


def _open(pid: int) -> int | None:
    """None: the process is no more, or the kernel was built without CONFIG_SCHED_INFO."""
    try:
        return os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
