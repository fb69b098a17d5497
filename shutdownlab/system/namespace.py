"""Named network namespaces: created without a process, configured by netlink, and entered by the programs run there."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import IPRoute

from shutdownlab.system import netns, rtnetlink, syscalls
from shutdownlab.system.inside import mount_sysfs
from shutdownlab.system.kernel import MachineCannot

T = TypeVar("T")

LOOPBACK = 1
"""The index of `lo` in every network namespace."""

NAMESPACES = Path("/run/netns")
"""Directory of the named namespaces, the same as that of `ip netns`."""

_OWN_MOUNTS = "/proc/thread-self/ns/mnt"
# First interface index in a namespace in which others create interfaces too.
_SHARED_INDEX = 1000
_RESOLV_CONF = Path("/etc/resolv.conf")
_IPV6 = Path("/proc/sys/net/ipv6")
"""Absent where the kernel has no IPv6."""
# No duplicate address detection, no addresses other than configured ones, and no reverse-path filtering.
_SETTINGS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/dad_transmits": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/autoconf": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    # No ICMP redirects: a router sends one when the next hop is on the arriving interface, but access switches don't
    # let hosts reach each other directly.
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv6/conf/all/accept_redirects": "0",
    "net/ipv6/conf/default/accept_redirects": "0",
}
_NO_IPV6 = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}


class Namespace:
    """One network namespace, visible as /run/netns/NAME while it is open.

    With `own_mounts`, all programs started here share one mount namespace, created on first use. Its /sys lists this
    namespace's interfaces, and it has `resolv_conf` and the private directories mounted.
    """

    def __init__(
        self,
        name: str,
        *,
        ipv6: bool = True,
        own_mounts: bool = True,
        resolv_conf: str | None = None,
        private_dirs: Sequence[str | tuple[str, str]] = (),
        first_index: int = 2,
    ) -> None:
        """Creates the namespace, with its loopback interface up.

        ipv6: off for a node that only forwards frames, where IPv6 would send packets of its own.
        own_mounts: off for a node that runs only our own daemons.
        resolv_conf: contents of the namespace's /etc/resolv.conf; None leaves the file as it is.
        private_dirs: directories that are empty here, or pairs of a directory and the one mounted over it (`%(name)s`
            in it is replaced by the namespace's name; created if missing).
        first_index: index of the first interface made here; higher if others create interfaces here too.
        """
        self.name = name
        self.path = NAMESPACES / name
        self._next_index = first_index
        self._mounts: int | None = None
        self._make_mounts = partial(self._mount, resolv_conf, private_dirs) if own_mounts else None
        self._making_mounts = threading.Lock()
        self._processes: list[subprocess.Popen[Any]] = []
        with netns.returning():
            syscalls.unshare(syscalls.CLONE_NEWNET)
            self._net = os.open(netns.OWN, os.O_RDONLY | os.O_CLOEXEC)
            self.path.touch(exist_ok=False)
            syscalls.bind(str(netns.OWN), str(self.path))
            _write_settings(_SETTINGS if ipv6 else {**_SETTINGS, **_NO_IPV6})
            syscalls.set_up("lo")
        if resolv_conf is not None or private_dirs:
            self.run(lambda: None)

    @classmethod
    def current(cls, name: str) -> Namespace:
        """Returns the namespace this thread is in; `name` is only a label. Don't call `close` on it."""
        current = cls.__new__(cls)
        current.name, current.path = name, netns.OWN
        current._next_index, current._mounts, current._processes = _SHARED_INDEX, None, []
        current._make_mounts = None
        current._net = os.open(netns.OWN, os.O_RDONLY | os.O_CLOEXEC)
        return current

    def _mount(self, resolv_conf: str | None, private_dirs: Sequence[str | tuple[str, str]]) -> int:
        """Moves this thread into a new mount namespace, mounts what belongs in it, and returns its descriptor."""
        syscalls.unshare(syscalls.CLONE_FS | syscalls.CLONE_NEWNS)
        netns.enter(self._net)
        mount_sysfs()
        syscalls.detach(str(NAMESPACES))  # mounts of later namespaces don't appear here, which `ip` complains about
        if resolv_conf is not None:
            if not _RESOLV_CONF.exists():
                raise MachineCannot(
                    "give a node its own resolver", f"{_RESOLV_CONF} is missing", f"sudo touch {_RESOLV_CONF}"
                )
            own = self._files() / "resolv.conf"
            own.write_text(resolv_conf)
            syscalls.bind(str(own), str(_RESOLV_CONF.resolve()))
        for place in private_dirs:
            if isinstance(place, tuple):
                seen, instead = place
                instead %= {"name": self.name}
                Path(instead).mkdir(parents=True, exist_ok=True)
                syscalls.bind(instead, seen)
            else:
                syscalls.mount("tmpfs", place, "tmpfs", syscalls.MS_NOSUID)
        return os.open(_OWN_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)

    def _files(self) -> Path:
        directory = Path("/run/nodes") / self.name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Keeps this thread in the network namespace inside the `with` block; its mounts stay the same."""
        with netns.inside(self._net):
            yield

    @contextmanager
    def netlink(self) -> Iterator[Any]:
        """Opens a pyroute2 IPRoute in this namespace for the `with` block."""
        with self.entered(), IPRoute() as netlink:
            yield netlink

    def configure(self, requests: Sequence[rtnetlink.Request]) -> None:
        """Carries out the requests in order (see `rtnetlink.carry_out`). Raises pyroute2.NetlinkError."""
        with self.entered():
            rtnetlink.carry_out(requests)

    def set_up(self, name: str) -> None:
        """Brings an interface up."""
        with self.entered():
            syscalls.set_up(name)

    def take_index(self) -> int:
        """Returns the next unused interface index."""
        self._next_index += 1
        return self._next_index - 1

    def descriptor(self) -> int:
        """Returns the namespace's file descriptor, which stays open until `close`."""
        return self._net

    def set_sysctls(self, settings: Mapping[str, object]) -> None:
        """Sets `net.…` sysctls, written with dots or, if a name contains a dot, with slashes. Raises OSError.

        IPv6 settings are ignored if the kernel has no IPv6.
        """
        with self.entered():
            _write_settings({key if "/" in key else key.replace(".", "/"): str(settings[key]) for key in settings})

    def enter(self) -> None:
        """Moves this process into the namespace permanently. It must have only one thread, such as a forked child."""
        if self._make_mounts is not None:
            here = Path.cwd()
            with self._making_mounts:
                if self._mounts is None:
                    self._mounts = self._make_mounts()
                else:
                    syscalls.setns(self._mounts, syscalls.CLONE_NEWNS)
            with suppress(OSError):
                os.chdir(here)
        netns.enter(self._net)

    def run(self, function: Callable[[], T]) -> T:
        """Calls a function in a new thread inside the namespace, and returns its result.

        Sockets that it opens and programs that it starts stay inside.
        """

        def inside() -> T:
            if self._make_mounts is not None:  # setns(CLONE_NEWNS) refuses a thread that shares its root with others
                syscalls.unshare(syscalls.CLONE_FS)
            self.enter()
            return function()

        return self._in_thread(inside)

    @staticmethod
    def _in_thread(function: Callable[[], T]) -> T:
        results: list[T] = []
        problems: list[BaseException] = []

        def body() -> None:
            try:
                results.append(function())
            except BaseException as problem:
                problems.append(problem)

        thread = threading.Thread(target=body)
        try:
            thread.start()
        except RuntimeError as error:  # as pthread_create(3) failed
            raise BlockingIOError(errno.EAGAIN, str(error)) from None
        thread.join()
        if problems:
            raise problems[0]
        return results[0]

    def spawn(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = None,
        stderr: Any = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        foreground: bool = False,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Starts a program inside the namespace and returns without waiting. `end_processes` ends it.

        foreground: whether it keeps the terminal and gets Ctrl-C; otherwise it runs in a new session.
        Raises FileNotFoundError or PermissionError as subprocess.Popen does.
        """
        process = self.run(
            lambda: subprocess.Popen(
                [str(word) for word in argv],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                cwd=cwd,
                **{"start_new_session": not foreground, **options},
            )
        )
        self._processes = [each for each in self._processes if each.returncode is None]
        self._processes.append(process)
        return process

    def running(self) -> list[subprocess.Popen[Any]]:
        """Returns the programs started by `spawn` that are still running."""
        return [process for process in self._processes if process.poll() is None]

    def close(self) -> None:
        """Releases the namespace: the kernel removes it and its interfaces when the last process in it ends."""
        with suppress(FileNotFoundError, OSError):
            syscalls.detach(str(self.path))
        self.path.unlink(missing_ok=True)
        for fd in (self._net, self._mounts):
            if fd is not None:
                os.close(fd)
        self._mounts = None


def end_processes(namespaces: Sequence[Namespace], patience: float = 2.0) -> None:
    """Ends the programs spawned in the namespaces: SIGTERM to all, then SIGKILL to the rest after `patience` seconds.

    With a patience of 0 they get SIGKILL only.
    """
    processes = [process for namespace in namespaces for process in namespace.running()]
    deadline = time.monotonic() + patience
    if patience:
        for process in processes:
            process.terminate()
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    for process in processes:
        process.wait()


def _write_settings(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        if not name.startswith("net/ipv6/") or _IPV6.exists():
            Path("/proc/sys", name).write_text(value)
