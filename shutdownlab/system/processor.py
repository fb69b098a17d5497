"""What a process got of the machine's processors."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def waited_s(pid: int | None = None) -> float:
    """Seconds that a process' first thread (None: this one's) could have run and had no processor.

    0.0 where the kernel does not count that, or the process is no more.

    Costs some 6 µs. Documentation/scheduler/sched-stats.rst of Linux: the second figure, in nanoseconds.
    """
    told = _read(f"/proc/{pid or 'self'}/schedstat").split()
    return int(told[1]) / 1e9 if told else 0.0  # a kernel without CONFIG_SCHED_INFO does not tell


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
        told = [_read(f"/proc/{process}/task/{thread}/schedstat").split() for thread in threads]
        whole += max((int(each[1]) / 1e9 for each in told if each), default=0.0)
        for thread in threads:
            left += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
    return whole


def had_none(share: float) -> str:
    """The end of a sentence about what had no processor for such a share of the time, 0 to 1."""
    return f"had no processor for {round(100 * share)} % of the time: this machine is busy"


def _read(path: str) -> bytes:
    """A short file of the kernel's; empty where there is none, or what it tells of is no more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
