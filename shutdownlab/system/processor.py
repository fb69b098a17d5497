"""What a process got of the machine's processors."""

from __future__ import annotations

import os


def waited_s(pid: int | None = None) -> float:
    """Seconds that a process' first thread (None: this one's) could have run and had no processor.

    0.0 where the kernel does not count that, or the process is no more.

    Costs some 6 µs. Documentation/scheduler/sched-stats.rst of Linux: the second figure, in nanoseconds.
    """
    try:
        descriptor = os.open(f"/proc/{pid or 'self'}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a kernel without CONFIG_SCHED_INFO
        return 0.0
    try:
        return int(os.read(descriptor, 128).split()[1]) / 1e9
    except OSError:
        return 0.0
    finally:
        os.close(descriptor)
