"""Where a lab at a terminal listens for other terminals of the same user: a Unix socket a lab, outside its sandbox.

All of a user's are in one directory, /tmp/shutdownlab-UID (of TMPDIR, where that is set), which only that user may
enter: a directory of that name that is somebody else's, or open to others, is not used. A socket is named by the number
of the process that `shutdownlab lab` or `run --keep` is, and what it brought up: `4242.kazakhstan-2022`.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shutdownlab.config.document import one_of, quoted
from shutdownlab.model.lookup import refuse

_BACKLOG: Final = 8
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred of unix(7): process, user and group ids."""


class UnsafePlace(Exception):
    """The directory for sockets could be somebody else's; its text says why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab of this user's that listens. `pid`: of its command; `title`: the scenario's or topology's name."""

    pid: int
    title: str
    path: Path

    def __str__(self) -> str:
        return f"{self.pid} ({self.title})"


def place() -> Path:
    """The directory of this user's sockets, whether or not it is there."""
    return Path(tempfile.gettempdir()) / f"shutdownlab-{os.geteuid()}"


@dataclass(frozen=True, slots=True)
class Offered:
    """A socket at which a lab can listen. `descriptor`: -1 where there could be none, and `why`."""

    descriptor: int
    why: str = ""


NOT_OFFERED: Final = Offered(-1, "none was offered")


@contextmanager
def offered(title: str) -> Iterator[Offered]:
    """A socket that other terminals find until the end of the block. It listens once the country is up: `listen`."""
    folder, name = place(), f"{os.getpid()}.{title}"
    with ExitStack() as stack:
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            at = stack.enter_context(_opened(folder))
            made = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _remove(at, name)  # of a process of that number that was killed
            made.bind(_within(at, name))
            stack.callback(_remove, at, name)
            found = Offered(made.fileno())
        except (OSError, UnsafePlace) as error:
            found = Offered(-1, str(error))
        yield found


def listen(descriptor: int) -> socket.socket:
    """The socket that was `offered`, by its descriptor; from now on it takes connections."""
    made = socket.socket(fileno=descriptor)
    made.set_inheritable(False)
    made.listen(_BACKLOG)
    return made


def running_labs() -> tuple[list[RunningLab], list[RunningLab]]:
    """The labs of this user that listen, and those that will, the oldest first. Raises `UnsafePlace`.

    What killed ones have left is removed.
    """
    listening, coming = [], []
    try:
        with _opened(place()) as at:
            for entry in sorted(os.scandir(at), key=lambda entry: entry.stat(follow_symlinks=False).st_ctime_ns):
                pid, _, title = entry.name.partition(".")
                if not pid.isdigit() or not title:
                    continue
                lab = RunningLab(int(pid), title, place() / entry.name)
                try:
                    _connected(at, entry.name).close()
                except ConnectionRefusedError:
                    if Path("/proc", pid).exists():
                        coming.append(lab)
                    else:
                        _remove(at, entry.name)
                except OSError:  # no socket, or one that takes no more
                    continue
                else:
                    listening.append(lab)
    except FileNotFoundError:
        pass
    return listening, coming


def lab_named(which: str | None, option: str) -> RunningLab:
    """The one lab that is meant, by the number of its process or what it brought up; None: the only one there is.

    Raises `BadInput`, which lists those there are, and `UnsafePlace`.
    """
    labs, coming = running_labs()
    start = "start one in another terminal: `shutdownlab lab NAME`, or `run --keep`"
    if not labs:
        later = f", only {', '.join(map(str, coming))}, which is not up yet" if coming else ""
        refuse("attach", f"no lab of yours that is running{later}", "a lab, or a run that was kept", start)
    there = ", ".join(map(str, labs))
    meant = [lab for lab in labs if which is None or which in {str(lab.pid), lab.title}]
    if not meant:
        refuse(option, f"unknown lab {quoted(which or '')}", one_of([str(lab) for lab in labs]), start)
    if len(meant) > 1:
        found = f"{len(meant)} labs running: {there}"
        refuse(option, found, "which of them", f"for example: --lab {meant[-1].pid}")
    return meant[0]


def connect(lab: RunningLab) -> socket.socket:
    """A connection to a lab. Raises `UnsafePlace` where another user listens there, and OSError."""
    with _opened(lab.path.parent) as at:
        connected = _connected(at, lab.path.name)
    if peer_user(connected) != os.geteuid():
        connected.close()
        raise UnsafePlace(f"another user listens at {lab.path}; remove it")
    return connected


def peer_user(connected: socket.socket) -> int:
    """The user id of the process at the other end, as this process's user namespace has it."""
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[1])


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of the directory, proven to be this user's own: what is done by it is done there, and not where a
    link that somebody puts in its place leads."""
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnsafePlace(f"{folder} is not a directory of yours ({error.strerror}); remove it") from None
    try:
        found = os.fstat(at)
        if found.st_uid != os.geteuid():
            raise UnsafePlace(f"{folder} belongs to another user; remove it, or set TMPDIR to a directory of your own")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise UnsafePlace(f"{folder} is open to other users; chmod 700 {folder}")
        yield at
    finally:
        os.close(at)


def _within(at: int, name: str) -> str:
    """A path that fits into a socket's address (108 bytes), however deep the directory is."""
    return f"/proc/self/fd/{at}/{name}"


def _connected(at: int, name: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(_within(at, name))
    except BaseException:
        made.close()
        raise
    return made


def _remove(at: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=at)
