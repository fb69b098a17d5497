"""What this machine's kernel offers a sandbox, and how to mend what it doesn't."""

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
    why: the reason found.
    mend: what the user can do about it.
    """

    def __init__(self, what: str, why: str, mend: str) -> None:
        super().__init__(f"this machine cannot {what}: {why}. To mend it: {mend}")
        self.what, self.why, self.mend = what, why, mend


@dataclass(frozen=True, slots=True)
class Owners:
    """The users and groups that a sandbox's root can act as: itself, and whose the files are that it must reach.

    As root that is often somebody else's: `sudo shutdownlab run --out ~/here` needs what only that user's may enter.
    """

    users: frozenset[int]
    groups: frozenset[int]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Owners:
        """Root, and who owns `paths` and the directories above them, as far as this process can act as them at all."""
        found = [place.stat() for path in paths for place in {path, *path.parents} if place.exists()]
        return cls(
            frozenset(_known("uid_map", {0, *(each.st_uid for each in found)})),
            frozenset(_known("gid_map", {0, *(each.st_gid for each in found)})),
        )

    def map_into(self, pid: int) -> None:
        """Let process `pid`, in a user namespace just made, be these. Raises MachineCannot."""
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
    """Move this process into new user (unless it is root), mount and network namespaces; its next child starts a new
    pid namespace. In the user namespace it is root. Raises MachineCannot.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            syscalls.unshare(_OUTER)
        except PermissionError:
            pass  # root of a container without CAP_SYS_ADMIN: no better than an ordinary user
        else:
            return
    try:
        syscalls.unshare(_OUTER | syscalls.CLONE_NEWUSER)
        _proc("self", "setgroups").write_text("deny")
        _proc("self", "uid_map").write_text(f"0 {uid} 1")
        _proc("self", "gid_map").write_text(f"0 {gid} 1")
        # Where AppArmor forbids it the namespace is made, but without the rights that come with it.
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise no_user_namespace(error) from error


def enter_inner_namespaces() -> None:
    """Move this process into the namespaces that the sandbox's programs live in: user, mount, network, ipc and uts.

    Root too: it has no rights over the machine from here on, and the mounts that it finds are locked. A process
    outside of them has to say whom it may act as (`Owners.map_into`). Raises MachineCannot.
    """
    try:
        syscalls.unshare(_INNER)
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
            "allow more: sudo sysctl -w user.max_user_namespaces=10000",
        )
    return MachineCannot(
        what,
        f"{error.strerror}: usual in a container, whose seccomp profile forbids it, and in a chroot",
        "run with sudo on the machine itself, or start the container with --privileged",
    )


def _reads(path: Path) -> str:
    """A setting's value; empty if this kernel hasn't got it."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
