"""What this machine's kernel offers a sandbox, and how to mend what it doesn't."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from shutdownlab.system import syscalls

EXIT_MACHINE_CANNOT = 3

_FLAGS = (
    syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
)
_SETTINGS = Path("/proc/sys")


class MachineCannot(Exception):
    """This machine can't do something the lab needs. Exit code 3.

    what: what can't be done, completing "this machine cannot ...".
    why: the reason found.
    mend: what the user can do about it.
    """

    def __init__(self, what: str, why: str, mend: str) -> None:
        super().__init__(f"this machine cannot {what}: {why}. To mend it: {mend}")
        self.what, self.why, self.mend = what, why, mend


def enter_namespaces() -> None:
    """Move this process into new user (unless it is root), net, mount, ipc and uts namespaces; its next child starts a
    new pid namespace. In the user namespace it is root. Raises MachineCannot.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            syscalls.unshare(_FLAGS)
        except PermissionError:
            pass  # root of a container without CAP_SYS_ADMIN: no better than an ordinary user
        else:
            return
    try:
        syscalls.unshare(_FLAGS | syscalls.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        # Where AppArmor forbids it the namespace is made, but without the rights that come with it.
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise no_user_namespace(error) from error


def no_user_namespace(error: OSError, settings: Path = _SETTINGS) -> MachineCannot:
    """Why making a user namespace gave `error`: which of the three known settings, or a container's seccomp profile."""
    limit = _reads(settings / "user/max_user_namespaces")
    what = "make a user namespace"
    if _reads(settings / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return MachineCannot(
            what,
            "AppArmor forbids it to ordinary users (Ubuntu 24.04's default)",
            "run with sudo, or allow it: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        )
    if _reads(settings / "kernel/unprivileged_userns_clone") == "0":
        return MachineCannot(
            what,
            "kernel.unprivileged_userns_clone is 0",
            "run with sudo, or allow it: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if limit == "0" or error.errno == errno.ENOSPC:
        return MachineCannot(
            what,
            f"user.max_user_namespaces is {limit}",
            "run with sudo, or allow more: sudo sysctl -w user.max_user_namespaces=10000",
        )
    return MachineCannot(
        what,
        f"{error.strerror}: usual in a container, whose seccomp profile forbids it",
        "run with sudo on the machine itself, or start the container with --privileged",
    )


def _reads(path: Path) -> str:
    """A setting's value; empty if this kernel hasn't got it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
