"""The kernel features a sandbox needs: entering its namespaces, and explaining what is missing and how to fix it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shutdownlab.system import syscalls

EXIT_MACHINE_CANNOT = 3

_OUTER = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET
_INNER = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)
_SETTINGS = Path("/proc/sys")


class MachineCannot(Exception):
    """This machine can't do something the lab needs. Exit code 3.

    what: what can't be done, completing "this machine cannot ...".
    why: the reason that was found.
    mend: what the user can do about it.
    """

    def __init__(self, what: str, why: str, mend: str) -> None:
        super().__init__(f"this machine cannot {what}: {why}. How to fix it: {mend}")
        self.what, self.why, self.mend = what, why, mend


@dataclass(frozen=True, slots=True)
class Owners:
    """The user and group ids mapped into a sandbox: root, and the owners of the files that it must access.

    When root runs the sandbox these are often another user's: `sudo shutdownlab run --out ~/here` needs directories
    that only this user may enter.
    """

    users: frozenset[int]
    groups: frozenset[int]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Owners:
        """Root and the owners of `paths` and their parents, as far as this process's user namespace maps them."""
        found = [place.stat() for path in paths for place in {path, *path.parents} if place.exists()]
        return cls(
            frozenset(_known("uid_map", {0, *(each.st_uid for each in found)})),
            frozenset(_known("gid_map", {0, *(each.st_gid for each in found)})),
        )

    def map_into(self, pid: int) -> None:
        """Maps these ids into the new user namespace of process `pid`. Raises MachineCannot."""
        try:
            _proc(pid, "setgroups").write_text("deny")
            _proc(pid, "uid_map").write_text("".join(f"{number} {number} 1\n" for number in sorted(self.users)))
            _proc(pid, "gid_map").write_text("".join(f"{number} {number} 1\n" for number in sorted(self.groups)))
        except OSError as error:
            raise no_user_namespace(error) from error


def _known(table: str, numbers: set[int]) -> Iterator[int]:
    ranges = [[int(word) for word in line.split()] for line in _proc("self", table).read_text().splitlines()]
    for number in numbers:
        if any(first <= number < first + count for first, _, count in ranges):
            yield number


def _proc(pid: int | str, name: str) -> Path:
    return Path(f"/proc/{pid}/{name}")


def enter_outer_namespaces() -> None:
    """Moves this process into new mount and network namespaces; its next child starts a new pid namespace.

    Unless it may do so as root, it enters a new user namespace as well, and is root there. Raises MachineCannot.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            syscalls.unshare(_OUTER)
        except PermissionError:
            pass  # root in a container without CAP_SYS_ADMIN: treated like an ordinary user
        else:
            return
    try:
        syscalls.unshare(_OUTER | syscalls.CLONE_NEWUSER)
        _proc("self", "setgroups").write_text("deny")
        _proc("self", "uid_map").write_text(f"0 {uid} 1")
        _proc("self", "gid_map").write_text(f"0 {gid} 1")
        # AppArmor's restriction still creates the namespace, but without capabilities: mount detects that.
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise no_user_namespace(error) from error


def enter_inner_namespaces() -> None:
    """Moves this process into the namespaces in which the sandbox's programs run: user, mount, network, ipc and uts.

    Even root then has no rights over the machine, and existing mounts are locked. A process outside these namespaces
    must map its user and group ids (`Owners.map_into`). Raises MachineCannot.
    """
    try:
        syscalls.unshare(_INNER)
    except OSError as error:
        raise no_user_namespace(error) from error


def no_user_namespace(error: OSError, settings: Path = _SETTINGS) -> MachineCannot:
    """Explains why creating a user namespace failed with `error`: one of three known settings, or else a container's
    seccomp profile or a chroot.
    """
    limit = _reads(settings / "user/max_user_namespaces")
    what = "make a user namespace"
    if _reads(settings / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return MachineCannot(
            what,
            "AppArmor forbids this for ordinary users (Ubuntu 24.04's default)",
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
            "allow more: sudo sysctl -w user.max_user_namespaces=10000",
        )
    return MachineCannot(
        what,
        f"{error.strerror}: usual in a container, whose seccomp profile forbids it, and in a chroot",
        "run with sudo on the machine itself, or start the container with --privileged",
    )


def _reads(path: Path) -> str:
    """Returns a kernel setting's value, or "" if this kernel doesn't have it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
