"""What a command inside a sandbox might try against the machine: each attempt raises OSError where it is refused."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import pty
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shutdownlab.system import syscalls
from shutdownlab.system.seccomp import ARCHITECTURES

Payload = Mapping[str, Any]

_libc = ctypes.CDLL(None, use_errno=True)
_MACHINE = ARCHITECTURES[os.uname().machine]
_MS_REMOUNT = 0x20
_PTRACE_ATTACH = 16
_TIOCSTI = 0x5412
_AF_VSOCK, _AF_ALG = 40, 38


def attempts(payload: Payload) -> int:
    """Try everything; a file with the errno's name of each attempt, or "done" where nothing refused it."""
    outcomes = {}
    for name, attempt in _attempts(payload).items():
        try:
            attempt()
            outcomes[name] = "done"
        except OSError as error:
            outcomes[name] = errno.errorcode.get(error.errno or 0, str(error))
    seen = {
        "devices": sorted(str(path) for path in Path("/dev").rglob("*") if _is_device(path)),
        "no new privileges": "NoNewPrivs:\t1" in Path("/proc/self/status").read_text(),
        "processes": sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()),
    }
    subprocess.run([payload["setuid"], payload["made"]], check=True)
    Path(payload["result"]).write_text(json.dumps({"outcomes": outcomes, "seen": seen}))
    return 0


def _attempts(payload: Payload) -> dict[str, Callable[[], object]]:
    file = Path(payload["file"])
    own = {
        "write a file outside": lambda: file.write_text("changed"),
        "remount / for writing": lambda: _remount("/", file),
        "clear the read-only flag of /": lambda: syscalls.set_mount_flags("/", clear=syscalls.MOUNT_RDONLY),
        "clear it in namespaces below": lambda: _child(_remount_below, file),
        "bind the directory and write there": lambda: _bound(file),
        "read another user's file": lambda: Path(payload["secret"]).read_text(),
        "make a device node": lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0)),
        "trace process 1": lambda: _call(_libc.ptrace(_PTRACE_ATTACH, 1, None, None)),
        "see process 1's files": lambda: Path("/proc/1/root/etc").stat(),
        "see process 1's memory": lambda: os.open("/proc/1/mem", os.O_RDONLY),
        "signal a process outside": lambda: os.kill(payload["process"], signal.SIGTERM),
        "set core_pattern": lambda: Path("/proc/sys/kernel/core_pattern").write_text("core"),
        "set vm.swappiness": lambda: Path("/proc/sys/vm/swappiness").write_text("60"),
        "pull sysrq-trigger": lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY | os.O_CREAT),
        "write in /sys": lambda: Path("/sys/kernel/mm/ksm/run").write_text("0"),
        "mount another /sys, writable": lambda: syscalls.mount("sysfs", "/run", "sysfs"),
        "make /sys writable": lambda: syscalls.set_mount_flags("/sys", clear=syscalls.MOUNT_RDONLY),
        "speak to the hypervisor": lambda: socket.socket(_AF_VSOCK, socket.SOCK_STREAM),
        "use the kernel's ciphers": lambda: socket.socket(_AF_ALG, socket.SOCK_SEQPACKET),
        "reach a socket by its name": lambda: _connect(socket.AF_UNIX, payload["named"]),
        "write standard input's file": lambda: Path("/proc/self/fd/0").write_text("changed"),
        "enter a namespace of control groups": lambda: _child(_unshare_control_groups, file),
        "reach an abstract socket": lambda: _connect(socket.AF_UNIX, f"\0{payload['abstract']}"),
        "reach the machine's loopback": lambda: _connect(socket.AF_INET, ("127.0.0.1", payload["port"])),
        "type into the terminal": _type_into_terminal,
    }
    for place in ("/tmp", "/run", "/proc", "/dev", "/dev/null"):
        own[f"uncover {place}"] = lambda place=place: syscalls.detach(place)
    for kind in ("mnt", "net", "user", "pid"):
        own[f"enter process 1's {kind} namespace"] = lambda kind=kind: _enter(kind)
    for name, number in _MACHINE.refused.items():
        own[name] = lambda number=number: _call(_libc.syscall(ctypes.c_long(number), -1, -1, -1, -1, -1))
    return own


def _is_device(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _remount(place: str, file: Path) -> None:
    syscalls.mount("none", place, flags=_MS_REMOUNT | syscalls.MS_BIND)
    file.write_text("changed")


def _remount_below(file: Path) -> None:
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    _remount("/", file)


def _unshare_control_groups(_file: Path) -> None:
    """In it, a program could mount the machine's control groups, and write to them."""
    syscalls.unshare(syscalls.CLONE_NEWCGROUP)


def _bound(file: Path) -> None:
    Path("/tmp/bound").mkdir()
    syscalls.bind(str(file.parent), "/tmp/bound")
    syscalls.set_mount_flags("/tmp/bound", clear=syscalls.MOUNT_RDONLY)
    Path("/tmp/bound", file.name).write_text("changed")


def _child(function: Callable[[Path], None], file: Path) -> None:
    """Call it in a process of its own, which would not come back from namespaces; raises its OSError."""
    child = os.fork()
    if child == 0:
        try:
            function(file)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number:
        raise OSError(number, "refused")


def _enter(kind: str) -> None:
    with Path(f"/proc/1/ns/{kind}").open("rb") as namespace:
        syscalls.setns(namespace.fileno(), 0)


def _connect(family: int, address: Any) -> None:
    with socket.socket(family) as connection:
        connection.settimeout(2)
        connection.connect(address)


def _type_into_terminal() -> None:
    master, slave = pty.openpty()
    try:
        _call(_libc.ioctl(slave, ctypes.c_ulong(_TIOCSTI), b"x"))
    finally:
        os.close(master)
        os.close(slave)


def stop(payload: Payload) -> int:
    """Stop the process that runs the function: its own, as a command inside could."""
    os.kill(os.getpid(), signal.SIGSTOP)
    return 0


def own_sysfs(payload: Payload) -> int:
    """Which interfaces a node's /sys names, of a namespace without a resolver of its own and of one with it."""
    from shutdownlab.system.namespace import Namespace

    found = []
    for resolver in (None, "nameserver 192.0.2.1\n"):
        namespace = Namespace(f"node-{resolver is None}", resolv_conf=resolver)
        with namespace.netlink() as netlink:
            netlink.link("add", ifname="eth7", kind="veth", peer={"ifname": "eth8"})
        listing = namespace.spawn(["ls", "/sys/class/net"], stdout=subprocess.PIPE)
        found.append(listing.communicate()[0].decode().split())
    Path(payload["result"]).write_text(json.dumps(found))
    return 0


def first_line(payload: Payload) -> int:
    """Print the first line of standard input, and read no more of it."""
    subprocess.run(["sh", "-c", 'read -r line; echo "$line"'], check=True)
    return 0
