"""The Unix sockets, outside the sandboxes, at which labs listen for further terminals of the same user.

All sockets of a user are in one directory, /tmp/shutdownlab-UID (below TMPDIR, if set), which only that user may enter:
a directory of that name that belongs to another user, or is open to others, is refused. A socket is named after the
process id of `shutdownlab lab` or `run --keep` and the scenario or topology: `4242.kazakhstan-2022`.
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
    """Raised if another user could control the socket directory; the text says why, and how to fix it."""


@dataclass(frozen=True, slots=True)
class RunningLab:
    """A lab of this user's that listens. `pid`: of its command; `title`: the scenario's or topology's name."""

    pid: int
    title: str
    path: Path

    def __str__(self) -> str:
        return f"{self.pid} ({self.title})"


def place() -> Path:
    """Returns the directory of this user's sockets, whether or not it exists."""
    return Path(tempfile.gettempdir()) / f"shutdownlab-{os.geteuid()}"


@dataclass(frozen=True, slots=True)
class Offered:
    """A socket at which a lab can listen. `descriptor`: -1 if it could not be made, and `why`."""

    descriptor: int
    why: str = ""


NOT_OFFERED: Final = Offered(-1, "none was offered")


@contextmanager
def offered(title: str) -> Iterator[Offered]:
    """Makes a socket that other terminals can find until the context exits.

    `listen` makes it accept connections once the country is up.
    """
    folder, name = place(), f"{os.getpid()}.{title}"
    with ExitStack() as stack:
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            at = stack.enter_context(_opened(folder))
            made = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _remove(at, name)  # left by a killed process with the same id
            made.bind(_within(at, name))
            stack.callback(_remove, at, name)
            found = Offered(made.fileno())
        except (OSError, UnsafePlace) as error:
            found = Offered(-1, str(error))
        yield found


def listen(descriptor: int) -> socket.socket:
    """Returns the `offered` socket, by its descriptor, and makes it accept connections."""
    made = socket.socket(fileno=descriptor)
    made.set_inheritable(False)
    made.listen(_BACKLOG)
    return made


def running_labs() -> tuple[list[RunningLab], list[RunningLab]]:
    """Returns this user's labs that listen, and those that are starting, oldest first. Raises `UnsafePlace`.

    Removes the sockets of killed labs.
    """
    listening, coming = [], []
    try:
        with _opened(place()) as at:
            for entry in sorted(os.scandir(at), key=_since):
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
                except OSError:  # no socket, or one that accepts no more connections
                    continue
                else:
                    listening.append(lab)
    except FileNotFoundError:
        pass
    return listening, coming


def _since(entry: os.DirEntry[str]) -> tuple[int, str]:
    """Returns when a socket was made, in ticks of the kernel's clock, which several may share; and its name."""
    try:
        return entry.stat(follow_symlinks=False).st_ctime_ns, entry.name
    except FileNotFoundError:  # its lab has just ended
        return 0, entry.name


def lab_named(which: str | None, option: str) -> RunningLab:
    """Returns the lab with this process id or title; None: the only one that is running.

    Raises `BadInput`, which lists the running labs, and `UnsafePlace`.
    """
    labs, coming = running_labs()
    start = "start one in another terminal: `shutdownlab lab NAME`, or `run --keep`"
    if not labs:
        later = f", only {', '.join(map(str, coming))}, which is still starting" if coming else ""
        refuse("attach", f"no running lab of yours{later}", "a running lab, or a run that was kept open", start)
    there = ", ".join(map(str, labs))
    meant = [lab for lab in labs if which is None or which in {str(lab.pid), lab.title}]
    if not meant:
        refuse(option, f"unknown lab {quoted(which or '')}", one_of([str(lab) for lab in labs]), start)
    if len(meant) > 1:
        found = f"{len(meant)} labs running: {there}"
        refuse(option, found, "the choice of one", f"for example: --lab {meant[-1].pid}")
    return meant[0]


def connect(lab: RunningLab) -> socket.socket:
    """Connects to a lab. Raises `UnsafePlace` if another user listens there, and OSError."""
    with _opened(lab.path.parent) as at:
        connected = _connected(at, lab.path.name)
    if peer_user(connected) != os.geteuid():
        connected.close()
        raise UnsafePlace(f"another user listens at {lab.path}; remove it")
    return connected


def peer_user(connected: socket.socket) -> int:
    """Returns the user id of the process at the other end, as seen in this process's user namespace."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Opens the directory and checks that it is this user's own.

    Operations relative to the descriptor stay in that directory, even if its path is replaced by a link meanwhile.
    """
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
    """Returns a path short enough for a socket address (108 bytes), however deep the directory is."""
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
