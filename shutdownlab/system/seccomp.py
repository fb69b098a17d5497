"""Refuses system calls on resources that Linux has no namespace for: the clock, modules, keyrings, hypervisor ...

The kernel refuses most of them to root in a user namespace anyway. The filter is a second line of defence, and also
refuses what the kernel would allow: keyrings, AF_VSOCK, io_uring, userfaultfd, typing into the user's terminal by
TIOCSTI, and namespaces of control groups, in which a program could mount the machine's own groups and write to them.

The filter is a classic BPF program (seccomp(2)), a sequence of comparisons that each lead to a verdict. Since Linux
5.11 the kernel caches which system calls are allowed whatever their arguments, and doesn't run the filter for them.
"""

from __future__ import annotations

import errno
import os
import platform
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shutdownlab.system import syscalls
from shutdownlab.system.kernel import MachineCannot

_SET_MODE_FILTER: Final = 1
_SPEC_ALLOW: Final = 4  # don't slow down speculation because of the filter: the default from Linux 5.16 on

# Offsets in struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits. Both
# architectures here are little-endian, so an argument's lower half comes first.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST_ARGUMENT: Final = 16
_SECOND_ARGUMENT: Final = 24

# linux/bpf_common.h and linux/seccomp.h
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000

_X32: Final = 0x40000000
"""First system call number of the x32 ABI, which has the same calls as x86_64 under other numbers."""

# Address families that the lab needs, all confined to a network namespace; AF_VSOCK, AF_ALG, AF_BLUETOOTH ... aren't.
_FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET)
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C

# Refused with ENOSYS, as if the kernel lacked them, so that programs fall back to other calls. clone3 has its flags in
# memory, where a filter can't look; its callers fall back to clone.
_ABSENT: Final = frozenset({"io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "clone3"})


@dataclass(frozen=True, slots=True)
class Architecture:
    """A CPU architecture's AUDIT_ARCH number (linux/audit.h) and its system call numbers."""

    audit: int
    seccomp: int
    socket: int
    socketpair: int
    ioctl: int
    unshare: int
    clone: int
    refused: dict[str, int] = field(repr=False)
    x32: bool = False


# System call numbers on x86_64 and on aarch64 (asm/unistd_64.h and asm-generic/unistd.h).
_REFUSED: Final = {
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
}
_X86_ONLY: Final = {"iopl": 172, "ioperm": 173}
ARCHITECTURES: Final = {
    "x86_64": Architecture(
        audit=0xC000003E,
        seccomp=317,
        socket=41,
        socketpair=53,
        ioctl=16,
        unshare=272,
        clone=56,
        refused={name: numbers[0] for name, numbers in _REFUSED.items()} | _X86_ONLY,
        x32=True,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        seccomp=277,
        socket=198,
        socketpair=199,
        ioctl=29,
        unshare=97,
        clone=220,
        refused={name: numbers[1] for name, numbers in _REFUSED.items()},
    ),
}


def refuse_system_calls() -> None:
    """Filters the system calls of this process and its future children, irrevocably. Raises MachineCannot."""
    machine = platform.machine()
    architecture = ARCHITECTURES.get(machine)
    if architecture is None:
        raise MachineCannot(
            "filter system calls", f"their numbers on {machine} are not known", f"use {' or '.join(ARCHITECTURES)}"
        )
    try:
        syscalls.set_no_new_privileges()
        syscalls.filter_system_calls(architecture.seccomp, _SET_MODE_FILTER, _SPEC_ALLOW, program(architecture))
    except OSError as error:
        raise MachineCannot(
            "filter system calls",
            os.strerror(error.errno or 0),
            "use a kernel with CONFIG_SECCOMP_FILTER, 4.17 or later",
        ) from error


def program(architecture: Architecture) -> bytes:
    """Returns the filter as an array of `struct sock_filter`."""
    return b"".join(_instructions(architecture))


def _instructions(architecture: Architecture) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCHITECTURE)
    yield from _unless_equal(architecture.audit, _refusal(errno.ENOSYS))  # 32-bit programs have other numbers
    yield _step(_LOAD, _NUMBER)
    if architecture.x32:
        yield _step(_IF_AT_LEAST, _X32, otherwise=1)
        yield _refusal(errno.ENOSYS)
    for name, number in architecture.refused.items():
        yield from _if_equal(number, _refusal(errno.ENOSYS if name in _ABSENT else errno.EPERM))
    # Each remaining block checks an argument and returns; `otherwise` skips the block for other system calls.
    families = [step for family in _FAMILIES for step in _if_equal(family, _step(_RETURN, _ALLOW))]
    families = [_step(_LOAD, _FIRST_ARGUMENT), *families, _refusal(errno.EAFNOSUPPORT)]
    for number in (architecture.socket, architecture.socketpair):
        yield _step(_IF_EQUAL, number, otherwise=len(families))
        yield from families
    requests = [step for request in (_TIOCSTI, _TIOCLINUX) for step in _if_equal(request, _refusal(errno.EPERM))]
    yield _step(_IF_EQUAL, architecture.ioctl, otherwise=2 + len(requests))
    yield _step(_LOAD, _SECOND_ARGUMENT)
    yield from requests
    yield _step(_RETURN, _ALLOW)
    for number in (architecture.unshare, architecture.clone):
        yield _step(_IF_EQUAL, number, otherwise=4)
        yield _step(_LOAD, _FIRST_ARGUMENT)
        yield _step(_IF_ANY_BIT, syscalls.CLONE_NEWCGROUP, otherwise=1)
        yield _refusal(errno.EPERM)
        yield _step(_RETURN, _ALLOW)
    yield _step(_RETURN, _ALLOW)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """Encodes one instruction. `then`, `otherwise`: instructions to skip if a comparison is true or false."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _refusal(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)


def _if_equal(value: int, verdict: bytes) -> Iterator[bytes]:
    yield _step(_IF_EQUAL, value, otherwise=1)
    yield verdict


def _unless_equal(value: int, verdict: bytes) -> Iterator[bytes]:
    yield _step(_IF_EQUAL, value, then=1)
    yield verdict
