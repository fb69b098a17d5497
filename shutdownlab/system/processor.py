"""What a process got of the machine's processors."""

from __future__ import annotations

import os

_SCHEDSTAT = "/proc/self/schedstat"


def waited_s() -> float:
    """Seconds that this process' first thread could have run and had no processor; 0.0 where the kernel counts none.

    Costs some 10 µs. Documentation/scheduler/sched-stats.rst of Linux: the second figure, in nanoseconds.
    """
    try:
        descriptor = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a kernel without CONFIG_SCHED_INFO
        return 0.0
    try:
        return int(os.read(descriptor, 128).split()[1]) / 1e9
    finally:
        os.close(descriptor)
