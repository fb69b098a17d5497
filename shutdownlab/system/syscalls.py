"""The few Linux system calls that Python 3.11 lacks: namespaces, mounts and prctl.

Every function raises OSError with the kernel's errno. Constants are from `<linux/sched.h>`, `<linux/mount.h>` and
`<linux/prctl.h>`; `mount_setattr` has the same number (442) on every architecture.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_FS = 0x00000200
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

MOUNT_RDONLY = 0x1
MOUNT_NODEV = 0x4

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29
_PR_SET_NO_NEW_PRIVS = 38
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Moves the calling thread into new namespaces (CLONE_NEW*); for CLONE_NEWPID, its next child."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Moves the calling thread into the namespace `fd` of `kind` (CLONE_NEWNET, CLONE_NEWNS ...)."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "none", flags: int = 0, options: str = "") -> None:
    """Calls mount(2)."""
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            fstype.encode(),
            ctypes.c_ulong(flags),
            options.encode() if options else None,
        ),
        target,
    )


def bind(source: str, target: str) -> None:
    """Bind-mounts `source`, with the mounts below it, at `target`."""
    mount(source, target, flags=MS_BIND | MS_REC)


def detach(target: str) -> None:
    """Unmounts `target` and everything below it lazily: it disappears now, and is released once no longer in use."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def set_mount_flags(path: str, *, add: int = 0, clear: int = 0) -> None:
    """Changes MOUNT_* flags of the mount at `path` and of all mounts below it. Needs Linux 5.12 (else ENOSYS)."""
    attr = _MountAttr(attr_set=add, attr_clr=clear)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        path.encode(),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )
    _check(result, path)


def die_with_parent(parent: int | None = None) -> None:
    """Makes the kernel send this process SIGKILL when the thread that forked it ends.

    parent: the parent's process id, if known; if it has ended already, this process exits at once.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def name_process(name: str) -> None:
    """Sets the name that `ps -o comm` and `top` show; cut to 15 bytes."""
    _check(_libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0), "prctl")


def set_no_new_privileges() -> None:
    """Keeps programs started from now on from gaining rights by setuid or file capabilities."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def filter_system_calls(number: int, operation: int, flags: int, program: bytes) -> None:
    """Calls seccomp(2), whose system call number is `number`, with an array of `struct sock_filter` as its program."""
    instructions = ctypes.create_string_buffer(program, len(program))
    count = len(program) // 8
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(instructions)))
    result = _libc.syscall(ctypes.c_long(number), ctypes.c_uint(operation), ctypes.c_uint(flags), ctypes.byref(whole))
    _check(result, "seccomp")


def set_timer_slack(nanoseconds: int) -> None:
    """Sets how much later than requested the calling thread may be woken from a timed wait."""
    _check(_libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(nanoseconds), 0, 0, 0), "prctl")


def set_up(interface: str) -> None:
    """Brings up an interface of the calling thread's network namespace, by ioctl SIOCSIFFLAGS.

    Doing so by netlink would take 20 ms each for a pyroute2 socket, and a country has some two hundred interfaces.
    """
    request = struct.Struct("16sh14x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request.pack(interface.encode(), 0))
        flags = request.unpack(answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request.pack(interface.encode(), flags | _IFF_UP))
