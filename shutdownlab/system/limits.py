"""Resource limits of this process and its children (getrlimit(2)), and how much of each resource is still available."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LIMITS = {
    errno.EMFILE: ("-n", resource.RLIMIT_NOFILE, 1, "open files"),
    errno.EAGAIN: ("-u", resource.RLIMIT_NPROC, 1, "processes and threads"),
    errno.EFBIG: ("-f", resource.RLIMIT_FSIZE, 1024, "KiB per file"),
    errno.ENOMEM: ("-v", resource.RLIMIT_AS, 1024, "KiB of address space per process"),
}
"""By the errno of exceeding the limit: ulimit's option, the resource, the unit's size and its name."""
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Room:
    """Resources available to a program that starts more processes; `1 << 62` where there is no limit.

    descriptors: open files per process. processes: processes and threads that the user may still start.
    file_bytes: size of a file. address_bytes: address space per process. disk_bytes: free space on a file system.
    memory_bytes: available memory of the machine or of this process's control groups, whichever is less.
    """

    descriptors: int = _NO_LIMIT
    processes: int = _NO_LIMIT
    file_bytes: int = _NO_LIMIT
    address_bytes: int = _NO_LIMIT
    disk_bytes: int = _NO_LIMIT
    memory_bytes: int = _NO_LIMIT

    @classmethod
    def here(cls, directory: Path | None = None) -> Room:
        """Returns this process's resources, and the free space on the disk that `directory` is or would be on."""
        return cls(
            descriptors=_limit(resource.RLIMIT_NOFILE, hard=True),  # a sandbox raises its soft limit to the hard one
            processes=_processes(),
            file_bytes=_limit(resource.RLIMIT_FSIZE),
            address_bytes=_limit(resource.RLIMIT_AS),
            disk_bytes=_free(directory) if directory is not None else _NO_LIMIT,
            memory_bytes=min(_available(), *_of_control_groups()),
        )


def limit_reached(error: BaseException) -> str:
    """Names the limit that caused an error, such as "`ulimit -n` is 64 open files"; "" if no known limit did."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM if isinstance(error, MemoryError) else None
    if number == errno.ENOSPC:
        return "the disk is full"
    if number not in _LIMITS:
        return ""
    option, limit, unit, what = _LIMITS[number]
    most = _limit(limit)
    return f"`ulimit {option}` is {most // unit:,} {what}" if most < _NO_LIMIT else ""


def _limit(number: int, *, hard: bool = False) -> int:
    most = resource.getrlimit(number)[hard]
    return _NO_LIMIT if most == resource.RLIM_INFINITY else most


def _processes() -> int:
    """How many more processes and threads this user may start. The machine's root is exempt, a namespace's isn't."""
    most = _limit(resource.RLIMIT_NPROC)
    if most == _NO_LIMIT or is_machines_root():
        return _NO_LIMIT
    return max(0, most - sum(_threads_of(os.getuid())))


def _threads_of(user: int) -> list[int]:
    """Returns the number of threads of each process of a user."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if process.stat().st_uid == user:
                lines = (process / "status").read_text().splitlines()
                found += [int(line.split()[1]) for line in lines if line.startswith("Threads:")]
    return found


def is_machines_root() -> bool:
    """Whether this process runs as the machine's root, rather than as root in a user namespace."""
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _available() -> int:
    """Bytes available to new programs without swapping (MemAvailable of /proc/meminfo)."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return _NO_LIMIT


def _of_control_groups() -> Iterator[int]:
    """Yields the bytes left under each memory limit of this process's control groups (cgroups(7), versions 1 and 2)."""
    yield _NO_LIMIT
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, name = line.split(":", 2)
            if kinds not in {"", "memory"}:
                continue
            top = Path("/sys/fs/cgroup", kinds)
            most, used = (
                ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
            )
            group = top / name.lstrip("/")
            for place in (group, *(each for each in group.parents if each.is_relative_to(top))):
                with suppress(OSError, ValueError):  # no such file, or `max`
                    yield max(0, int((place / most).read_text()) - int((place / used).read_text()))


def _free(directory: Path) -> int:
    for place in (directory, *directory.absolute().parents):
        with suppress(OSError):
            found = os.statvfs(place)
            return found.f_bavail * found.f_frsize
    return _NO_LIMIT
