"""Prepares the inside of a sandbox: what its first process does before anything else runs.

After `prepare_inside` nothing that runs in the sandbox can write a file of the machine outside the places it was given,
reach a service of the machine through a socket file (nscd, systemd-resolved, D-Bus: they would carry DNS queries out of
the sandbox), or change a setting of the machine's kernel.
"""

from __future__ import annotations

import os
import resource
import socket
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from shutdownlab.system import syscalls
from shutdownlab.system.kernel import MachineCannot

# Replaced by an empty tmpfs of at most so many bytes. 0o1777 where the original has it.
_FRESH = (
    ("/run", "mode=755,size=512m"),
    ("/tmp", "mode=1777,size=512m"),
    ("/var/tmp", "mode=1777,size=64m"),
    ("/var/log", "mode=755,size=64m"),
    ("/dev/shm", "mode=1777,size=256m"),
)
_PACKAGES = Path(__file__).parents[2]
"""Where this package is: in site-packages, or a checkout, which need not be on the path."""
SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_TUN = Path("/dev/net/tun")
# What would lead a program to a service outside, or to a directory that is no longer there.
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


def _own_mounts() -> None:
    """From here on no mount of the sandbox shows outside."""
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise MachineCannot(
            "make a sandbox in a chroot",
            f"its root directory is no mount of its own ({error.strerror})",
            "enter it with systemd-nspawn, a container or pivot_root instead of chroot",
        ) from error


def prepare_inside(writable: Iterable[Path] = (), keep: Iterable[Path] = ()) -> None:
    """Make this process's fresh namespaces into a sandbox.

    writable: directories that stay writable (the run directory); created outside if missing.
    keep: files and directories that stay visible, read-only, though under a directory that is replaced (/tmp, /run).

    Must run as process 1 of new mount, pid, net, ipc and uts namespaces, in which it is root.
    Raises MachineCannot.
    """
    real_root = _is_real_root()
    open_writable = _open_paths(writable)
    # Whoever stands in /tmp itself, or has his files right there, gets the fresh one.
    shown = (path for path in (*_own_paths(), *keep) if str(path) not in dict(_FRESH))
    open_kept = _open_paths(path for path in shown if path not in open_writable)
    _own_mounts()
    with suppress(OSError):  # before Linux 5.12 the machine's files stay as writable as the user made them
        syscalls.set_read_only("/", True)
    for target, options in _FRESH:
        if Path(target).is_dir() and not Path(target).is_symlink():
            syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_NOSUID, options)
    for path, fd in sorted({**open_kept, **open_writable}.items()):
        _show(path, fd, writable=path in open_writable)
    _fresh_proc(real_root)
    with suppress(OSError):  # refused in some containers; then /sys/class/net names the machine's interfaces, no more
        no_access = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("sysfs", "/sys", "sysfs", no_access | syscalls.MS_RDONLY)
    _usable_tun(real_root)
    _private_etc()
    Path("/run/netns").mkdir()
    syscalls.mount("tmpfs", "/run/netns", "tmpfs")  # a mount of its own, for nodes not to see each other
    with suppress(OSError):
        socket.sethostname("shutdownlab")
    _prepare_environment()


def _is_real_root() -> bool:
    """Whether this is the machine's root and not one that a user namespace made up."""
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _own_paths() -> list[Path]:
    """What this Python needs to go on: its installation, its modules and the working directory."""
    paths = [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable), Path.cwd(), _PACKAGES]
    paths += [Path(entry) for entry in sys.path if entry]
    return [path.resolve() for path in paths] + [path.absolute() for path in paths]


def _open_paths(paths: Iterable[Path]) -> dict[Path, int]:
    """Hold on to what is about to be covered; paths that don't exist are left out."""
    held: dict[Path, int] = {}
    for path in paths:
        with suppress(OSError):
            held.setdefault(path, os.open(path, os.O_PATH | os.O_CLOEXEC))
    return held


def _show(path: Path, fd: int, *, writable: bool) -> None:
    """Make a held path visible again, and writable."""
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
        with suppress(OSError):
            syscalls.set_read_only(str(path), not writable)
    os.close(fd)


def _fresh_proc(real_root: bool) -> None:
    try:
        no_access = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", no_access)
    except OSError as error:
        raise MachineCannot(
            "mount a /proc of the sandbox's own",
            f"{error.strerror}: usual in a container, which hides parts of /proc",
            "start the container with --privileged, or with --security-opt systempaths=unconfined",
        ) from error
    if real_root:
        # Settings that aren't the network namespace's own are the machine's.
        with suppress(OSError):
            syscalls.bind("/proc/sys", "/proc/sys")
            syscalls.bind("/proc/sys/net", "/proc/sys/net")
            syscalls.set_read_only("/proc/sys", True)
            syscalls.set_read_only("/proc/sys/net", False)


def _usable_tun(real_root: bool) -> None:
    """Open vSwitch's userspace datapath makes its bridges' own ports from /dev/net/tun."""
    if real_root and _TUN.exists() and stat.S_IMODE(_TUN.stat().st_mode) & 0o006 != 0o006:
        # The inside of a user namespace made further down must be able to open it too.
        node = Path("/run/tun")
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        node.chmod(0o666)
        syscalls.bind(str(node), str(_TUN))
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError as error:
        raise MachineCannot("open /dev/net/tun", "it is not there", "sudo modprobe tun") from error
    except OSError as error:
        raise MachineCannot(
            "open /dev/net/tun",
            f"{error.strerror or error}",
            "sudo modprobe tun && sudo chmod 0666 /dev/net/tun, or run with sudo",
        ) from error


def _private_etc() -> None:
    """Names are looked up in the lab and nowhere else."""
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
    # Daemons are where an ordinary user's PATH doesn't look.
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(place for place in SYSTEM_PATH if place not in path)])
    # A namespace is an open file here, and a big country has many.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
