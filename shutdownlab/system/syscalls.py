"""The few Linux system calls Python 3.11 has no function for: namespaces, mounts and prctl.

Every function raises OSError with the kernel's errno. Numbers are those of `<linux/sched.h>`, `<linux/mount.h>` and
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
    """Move the calling thread into new namespaces (CLONE_NEW*); for CLONE_NEWPID, its next child."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace `fd` of `kind` (CLONE_NEWNET, CLONE_NEWNS ...)."""
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str = "none", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
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
    """Show `source`, with what is mounted below it, at `target` too."""
    mount(source, target, flags=MS_BIND | MS_REC)


def detach(target: str) -> None:
    """Unmount `target` and everything below it, now for new openers, later for those that have it open."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def set_mount_flags(path: str, *, add: int = 0, clear: int = 0) -> None:
    """Change MOUNT_* of the mount at `path` and of all mounts below it (Linux 5.12: ENOSYS before it)."""
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
    """Ask for SIGKILL when the thread that forked this process ends, however it ends.

    parent: its process id, where it can be known; is it gone already, this process ends at once.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def name_process(name: str) -> None:
    """What `ps -o comm` and `top` show; at most 15 bytes."""
    _check(_libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0), "prctl")


def set_no_new_privileges() -> None:
    """From here on no program started has more rights than this process: setuid and file capabilities don't count."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def filter_system_calls(number: int, operation: int, flags: int, program: bytes) -> None:
    """seccomp(2), whose system call has this `number`, with a program of `struct sock_filter`s."""
    instructions = ctypes.create_string_buffer(program, len(program))
    count = len(program) // 8
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(instructions)))
    result = _libc.syscall(ctypes.c_long(number), ctypes.c_uint(operation), ctypes.c_uint(flags), ctypes.byref(whole))
    _check(result, "seccomp")


def set_timer_slack(nanoseconds: int) -> None:
    """How much later than asked for the calling thread may be woken."""
    _check(_libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(nanoseconds), 0, 0, 0), "prctl")


def set_up(interface: str) -> None:
    """Bring an interface of the calling thread's network namespace up, by ioctl SIOCSIFFLAGS.

    By netlink it would take a socket of pyroute2's, 20 ms each time, and a country has some two hundred interfaces.
    """
    request = struct.Struct("16sh14x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request.pack(interface.encode(), 0))
        flags = request.unpack(answer)[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request.pack(interface.encode(), flags | _IFF_UP))
