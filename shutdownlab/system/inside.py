"""Prepares the inside of a sandbox: process 1 makes the mounts, the worker does the rest.

A program in the sandbox cannot write to the machine's files other than in the directories it was given, open the
machine's devices, change its kernel settings or control groups, or reach its services through Unix sockets: those
under /run and /tmp (nscd, systemd-resolved, D-Bus) are hidden with these directories, others that exist when the
sandbox starts (LXD's, Docker Desktop's) are covered one by one. They would carry DNS queries out of the sandbox, or
hand out root's rights. Neither a namespace nor a read-only mount keeps a program from connecting to them.
"""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from shutdownlab.system import syscalls
from shutdownlab.system.devices import check_tun, hold_devices, mount_devices
from shutdownlab.system.kernel import MachineCannot, Owners
from shutdownlab.system.limits import is_machines_root
from shutdownlab.system.seccomp import refuse_system_calls

# Each is replaced by an empty tmpfs with these mount options. Mode 1777 where the original has it.
_FRESH = (
    ("/run", "mode=755,size=512m"),
    ("/tmp", "mode=1777,size=512m"),
    ("/var/tmp", "mode=1777,size=64m"),
    ("/var/log", "mode=755,size=64m"),
)
REPLACED = tuple(target for target, _ in _FRESH)
"""Directories that the sandbox has its own version of: initially empty, and removed with it."""
_PACKAGES = Path(__file__).parents[2]
"""The directory this package is in: site-packages or a checkout, which need not be in `sys.path`."""
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# Would direct a program to a service outside the sandbox, or to a directory that is hidden in it.
_DROPPED_VARIABLES = frozenset(
    {"all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy"}
    | {"dbus_session_bus_address", "notify_socket", "ssh_auth_sock", "tmpdir", "xdg_runtime_dir"}
)
_ETC = {
    "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
    "networks: files\nprotocols: files\nservices: files\n",
    "resolv.conf": "# No resolver: a node of the lab has its own file here.\n",
}


_prepared = False
"""Whether this process is in a prepared sandbox; forked children inherit it."""


def listening_sockets() -> tuple[str, ...]:
    """Returns the absolute paths of the Unix sockets in this process's network namespace; must run outside."""
    try:
        lines = Path("/proc/net/unix").read_bytes().splitlines()
    except OSError:
        return ()
    names = (os.fsdecode(line.split(None, 7)[-1]) for line in lines if line.count(b"/"))
    return tuple(sorted({name for name in names if name.startswith("/")}))


def prepare_mounts(
    writable: Iterable[Path] = (), keep: Iterable[Path] = (), sockets: Sequence[str] = ()
) -> tuple[Owners, int | None]:
    """Sets up the sandbox's mounts.

    Returns the users and groups that the sandbox must map to be able to use them, and what `_hold_input` does.

    writable: existing directories that stay writable (the run directory).
    keep: files and directories under a replaced directory (/tmp, /run) that stay visible, read-only.
    sockets: paths of Unix sockets of the machine (`listening_sockets`), which are covered.

    Must run as process 1 of new mount, pid and network namespaces, with root's capabilities there. A process that then
    enters new user and mount namespaces (`enter_inner_namespaces`) finds these mounts locked: it can neither make them
    writable nor unmount them. Raises MachineCannot.
    """
    real_root = is_machines_root()
    open_writable = _open_paths(writable)
    # A replaced directory itself, such as /tmp as the working directory, is not kept visible.
    shown = [path for path in (*_own_paths(), *keep) if str(path) not in dict(_FRESH)]
    open_kept = _open_paths(path for path in shown if path not in open_writable)
    owners = Owners.of({*open_writable, *open_kept})
    devices = hold_devices()
    _own_mounts()
    given = _hold_input()
    for target, options in _FRESH:
        if Path(target).is_dir() and not Path(target).is_symlink():
            syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
    for path, fd in sorted({**open_kept, **open_writable}.items()):
        _show(path, fd, writable=path in open_writable)
    _fresh_proc()
    mount_devices(devices)
    if real_root:
        _protect_proc()
    mount_sysfs()
    _private_etc()
    _cover(sockets)
    return owners, given


def prepare_worker() -> None:
    """Sets up the rest of the sandbox after its mounts, and finally gives up system calls that it must not use.

    Must run in the inner namespaces. Raises MachineCannot.
    """
    global _prepared
    Path("/run/netns").mkdir()
    syscalls.mount("tmpfs", "/run/netns", "tmpfs")  # a separate mount, so that nodes don't see each other
    with suppress(OSError):
        os.chdir(Path.cwd())  # reopens it by name, to get what is mounted there now
    with suppress(OSError):
        socket.sethostname("shutdownlab")
    check_tun()
    _prepare_environment()
    refuse_system_calls()
    _prepared = True


def require_sandbox() -> None:
    """Raises RuntimeError outside a sandbox, where the caller would change the machine itself."""
    if not _prepared:
        raise RuntimeError("a country is built in a sandbox only: see shutdownlab.system.sandbox.run_in_sandbox")


def mount_sysfs() -> None:
    """Mounts a read-only /sys that lists the interfaces of this thread's network namespace.

    Must not be used in the worker's own mount namespace: `ip netns exec` would unmount it there and then need a
    writable one. Some containers refuse it; /sys/class/net then lists another namespace's interfaces, but gives no
    other access to them.
    """
    with suppress(OSError):
        no_access = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("sysfs", "/sys", "sysfs", no_access | syscalls.MS_RDONLY)


def _own_mounts() -> None:
    """Makes this process's mounts private to the sandbox, read-only and without devices. Raises MachineCannot."""
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise MachineCannot(
            "make a sandbox in a chroot",
            f"its root directory is not a mount point ({error.strerror})",
            "enter it with systemd-nspawn, a container or pivot_root instead of chroot",
        ) from error
    try:
        syscalls.set_mount_flags("/", add=syscalls.MOUNT_RDONLY | syscalls.MOUNT_NODEV)
    except OSError as error:
        raise MachineCannot(
            "make the machine's files read-only inside", f"{error.strerror}", "use Linux 5.12 or later"
        ) from error


def _hold_input() -> int | None:
    """Opens a file that is standard input anew, through the sandbox's read-only mounts; returns the given descriptor.

    Through /proc/self/fd/0 a program inside could open the given one for writing: it is of the machine's own mount.
    None if standard input is no file, is writable already, or has no name here.
    """
    try:
        here = os.fstat(0)
        if not stat.S_ISREG(here.st_mode) or fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
            return None
        anew = os.open(Path("/proc/self/fd/0").readlink(), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    given = None
    if os.path.samestat(os.fstat(anew), here):
        os.lseek(anew, os.lseek(0, 0, os.SEEK_CUR), os.SEEK_SET)
        os.set_blocking(anew, True)
        given = os.dup(0)
        os.dup2(anew, 0)
    os.close(anew)
    return given


def _cover(sockets: Iterable[str]) -> None:
    for path in sockets:
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            if stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - a name that need not be text
                syscalls.bind("/dev/null", path)


def _own_paths() -> list[Path]:
    """Paths that this Python process still needs: its installation, its modules and the working directory."""
    paths = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable), Path.cwd(), _PACKAGES]
    paths += [Path(entry) for entry in sys.path if entry]
    return [path.resolve() for path in paths] + [path.absolute() for path in paths]


def _open_paths(paths: Iterable[Path]) -> dict[Path, int]:
    """Opens paths (O_PATH) before other mounts cover them; paths that can't be opened are left out."""
    held: dict[Path, int] = {}
    for path in paths:
        with suppress(OSError):
            held.setdefault(path, os.open(path, os.O_PATH | os.O_CLOEXEC))
    return held


def _show(path: Path, fd: int, *, writable: bool) -> None:
    """Makes an opened path visible again if a mount covers it, writable if asked to, and closes its descriptor."""
    covered = any(path.is_relative_to(target) for target, _ in _FRESH)
    if covered and path.exists() and path.stat().st_ino == os.fstat(fd).st_ino and not writable:
        covered = False  # a directory above it is visible already
    if covered:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    if covered or writable:
        syscalls.bind(f"/proc/self/fd/{fd}", str(path))
    if writable:
        with suppress(OSError):  # read-only outside as well: the error comes when it is written to
            syscalls.set_mount_flags(str(path), clear=syscalls.MOUNT_RDONLY)
    os.close(fd)


def _fresh_proc() -> None:
    try:
        no_access = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", no_access)
    except OSError as error:
        raise MachineCannot(
            "mount the sandbox's own /proc",
            f"{error.strerror}: usual in a container, which hides parts of /proc",
            "start the container with --privileged, or with --security-opt systempaths=unconfined",
        ) from error


def _protect_proc() -> None:
    """Makes the machine-wide files in /proc (settings, sysrq-trigger ...) read-only, except for network settings.

    Needed when root runs the sandbox: access to these files depends on root's user id, not on capabilities.
    """
    for entry in Path("/proc").iterdir():
        kind = entry.lstat().st_mode
        of_a_process = entry.name.isdigit() or stat.S_ISLNK(kind)
        if not of_a_process and (stat.S_ISDIR(kind) or kind & 0o222):
            syscalls.bind(str(entry), str(entry))
            syscalls.set_mount_flags(str(entry), add=syscalls.MOUNT_RDONLY)
    syscalls.bind("/proc/sys/net", "/proc/sys/net")
    syscalls.set_mount_flags("/proc/sys/net", clear=syscalls.MOUNT_RDONLY)


def _private_etc() -> None:
    """Replaces name-lookup files in /etc, so that names are resolved inside the lab only."""
    source = Path("/run/etc")
    source.mkdir()
    for name, text in _ETC.items():
        target = Path("/etc") / name
        if target.is_symlink() and not target.exists():
            with suppress(OSError):  # systemd-resolved's file was under /run
                target.resolve().parent.mkdir(parents=True, exist_ok=True)
                target.resolve().touch()
        if target.exists():
            (source / name).write_text(text)
            syscalls.bind(str(source / name), str(target.resolve()))


def _prepare_environment() -> None:
    for variable in [name for name in os.environ if name.lower() in _DROPPED_VARIABLES]:
        del os.environ[variable]
    # Daemons are installed in directories that an ordinary user's PATH lacks.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(place for place in SYSTEM_PATH if place not in path)])
    # Each namespace takes a file descriptor, and a large country has many.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
