"""Starts all servers of the country at once, waits until they are ready, and reports those that have died."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from shutdownlab.model import routing
from shutdownlab.model.convergence import Convergence
from shutdownlab.model.faults import NO_DAMAGE, Damage
from shutdownlab.model.network import Network
from shutdownlab.servers import birdc, unbound_control
from shutdownlab.servers.daemon import Daemon, listening
from shutdownlab.servers.server import Premises, servers
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.servers.zones import domestic_authority
from shutdownlab.system.child_process import ending
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import LOOPBACK

SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian keeps servers; an ordinary user's PATH lacks it."""
PACKAGES: Mapping[str, str] = {
    "bird": "bird2",
    "nsd": "nsd",
    "unbound": "unbound",
    "nginx": "nginx-light",
    "kamailio": "kamailio",
    "openvpn": "openvpn",
    "tayga": "tayga",
}
"""The Debian package of each server program."""
_APPARMOR = Path("/etc/apparmor.d")
_PATIENCE = 0.02
"""Seconds between polls for readiness: each poll reads a few files of /proc."""
_TAIL = 2000


_Process: TypeAlias = "subprocess.Popen[Any]"


class ServerNetwork(Protocol):
    """The part of the emulated network that services need: nodes by name, with `namespace` and `spawn(argv, …)`."""

    def get(self, name: str) -> Any: ...


class ServicesNotReady(Exception):
    """Servers died or did not come up in time; `problems` lists them, with the reasons found in their logs."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("not ready: " + "; ".join(problems))
        self.problems = tuple(problems)


class Services:
    """The running servers, as returned by `start_services`."""

    def __init__(
        self, network: Network, running: Mapping[Daemon, _Process], start: Callable[[Daemon], _Process]
    ) -> None:
        """start: starts one daemon and returns its process."""
        self._network = network
        self.converged = Convergence.of(network)
        """The sessions and routes that routers must have to be ready."""
        self._running = dict(running)
        self._found = {(daemon.name, daemon.node): daemon for daemon in reversed(self._running)}
        self._start = start
        self._damage = NO_DAMAGE
        self._broken: frozenset[Daemon] = frozenset()

    @property
    def processes(self) -> Mapping[Daemon, _Process]:
        """The process of each server."""
        return dict(self._running)

    @property
    def watched(self) -> Mapping[Daemon, _Process]:
        """The processes of the servers that should be working, without those broken on purpose."""
        return {daemon: process for daemon, process in self._running.items() if not self._is_broken(daemon)}

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        return tuple(self._running)

    def find(self, name: str, node: str) -> Daemon:
        """Returns the daemon called `name` (`bird`, `unbound`) on a node; raises `LookupError`."""
        if (name, node) not in self._found:
            raise LookupError(f"no {name} on {node}")
        return self._found[name, node]

    @property
    def damage(self) -> Damage:
        """The damage in force on purpose: servers that it silences are not faults."""
        return self._damage

    def expect(self, damage: Damage) -> None:
        """Sets the damage that is in force on purpose from now on."""
        self._damage, self._broken = damage, broken_by(damage, self._running)

    def start_again(self, daemon: Daemon) -> None:
        """Restarts a server that has ended; `wait_ready` waits for it."""
        if daemon.control is not None:
            daemon.control.unlink(missing_ok=True)
        self._running[daemon] = self._start(daemon)

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Waits until every server listens and every router has every route, except those broken on purpose.

        Raises `ServicesNotReady` after `seconds` without any progress; a large country may take longer in total.
        """
        deadline = time.monotonic() + seconds
        unready: dict[Daemon, str] = {daemon: "" for daemon in self._running if not self._is_broken(daemon)}
        while True:
            self._raise_if_died()
            before = unready
            unready = {daemon: problem for daemon in before if (problem := self._problem(daemon)) is not None}
            if not unready:
                return
            now = time.monotonic()
            if unready != before:
                deadline = now + max([seconds, *(daemon.patience for daemon in unready)])
            elif now > deadline:
                raise ServicesNotReady([f"{d.title}: {problem}" for d, problem in unready.items()])
            time.sleep(_PATIENCE)

    def flush_dns(self) -> None:
        """Flushes the cache of every resolver, because scenario time has jumped. Raises `OSError`."""
        for daemon in self._running:
            if daemon.name == "unbound" and daemon.control is not None and not self._is_broken(daemon):
                unbound_control.flush(daemon.control)

    def died(self) -> tuple[str, ...]:
        """Returns, for each server that has ended unexpectedly, a text with its exit status and the end of its log."""
        return tuple(
            f"{daemon.title} {ending(process.returncode)}: {_tail(log_of(daemon))}"
            for daemon, process in self._running.items()
            if process.poll() is not None and not self._is_broken(daemon)
        )

    def _is_broken(self, daemon: Daemon) -> bool:
        """Returns whether a server is silenced on purpose."""
        return daemon in self._broken

    def _raise_if_died(self) -> None:
        dead = self.died()
        if dead:
            raise ServicesNotReady(dead)

    def _problem(self, daemon: Daemon) -> str | None:
        missing = daemon.missing(listening(self._running[daemon].pid))
        if missing:
            return "not listening on " + _listed(sorted(map(str, missing)))
        if daemon.name == "bird" and daemon.control is not None:
            return self._routing_problem(daemon, daemon.control)
        return None

    def _routing_problem(self, daemon: Daemon, control: Path) -> str | None:
        node = self._network.nodes[daemon.node]
        try:
            wanted = {s.name for s in self.converged.sessions[node.name]}
            wanted -= routing.lost_sessions(self._network, node, self._damage) if self._damage else set()
            down = wanted - birdc.sessions_up(control)
            if down:
                return "no BGP session with " + _listed(sorted(down))
            routes = birdc.kernel_routes(control, 4) | birdc.kernel_routes(control, 6)
        except OSError as error:
            return str(error)
        if self._damage:
            return None  # which routes remain is checked by the code that applied the damage
        missing = {str(prefix) for prefix in self.converged.expected(node)} - routes.keys()
        if missing:
            return f"no route to {_listed(sorted(missing))}"
        # A carrier's route may arrive first; until the better one does, domestic traffic would go through abroad.
        at_home = {str(prefix): name for prefix, name in self.converged.at_the_exchange(node).items()}
        astray = [prefix for prefix, name in at_home.items() if routes[prefix] != name]
        return f"no route over the exchange to {_listed(sorted(astray))}" if astray else None


def start_services(net: ServerNetwork, network: Network, ca: CertificateAuthority, directory: Path) -> Services:
    """Writes every configuration below `directory` and starts every server; `wait_ready` waits for them.

    Raises `MachineCannot` for a program that is not installed, `OSError` if a file cannot be written.
    """
    # Unix sockets need short paths (107 characters) and a file system with sockets, which a shared folder may lack.
    runtime = Path(tempfile.mkdtemp(prefix="services-"))
    # nginx also expands `$` in paths. With the link, no program sees the user's name for the directory.
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.absolute()
    (runtime / "files").symlink_to(directory)
    directory = runtime / "files"
    premises = Premises(network, ca, directory, runtime)
    for server in servers():
        server.prepare(premises)
    daemons = list(plan(premises))
    programs = {name: executable(name, directory) for name in dict.fromkeys(d.argv[0] for d in daemons)}
    running: dict[Daemon, _Process] = {}

    def start(daemon: Daemon) -> _Process:
        with log_of(daemon).open("ab") as log:
            environment = {**os.environ, **daemon.environment}
            options = {"stdout": log, "stderr": log, "env": environment, "cwd": daemon.directory}
            argv = (programs[daemon.argv[0]], *daemon.argv[1:])
            process: _Process = net.get(daemon.node).spawn(argv, **options)
        return process

    with ExitStack() as on_failure:
        on_failure.callback(_kill, running.values())
        _add_domestic_authority(net, network)
        for daemon in daemons:
            daemon.write()
            running[daemon] = start(daemon)
        on_failure.pop_all()
    return Services(network, running, start)


def broken_by(damage: Damage, daemons: Iterable[Daemon]) -> frozenset[Daemon]:
    """Returns the servers that `damage` silences: bird on broken routers, and every server but nsd on silent hosts.

    A resolver (unbound) fails with its host; the authoritative server (nsd) beside it belongs to another host.
    """
    return frozenset(
        daemon
        for daemon in daemons
        if (daemon.node in damage.routers if daemon.name == "bird" else daemon.node in damage.silent)
        and daemon.name != "nsd"
    )


def plan(premises: Premises) -> Iterator[Daemon]:
    """Yields every server of the country, the slowest to start first."""
    for server in servers():
        yield from server.daemons(premises)


def log_of(daemon: Daemon) -> Path:
    """Returns the file that receives a server's standard output and error."""
    return daemon.directory / "log"


def executable(name: str, directory: Path) -> str:
    """Returns the path of a server's program, or of a copy below `directory` if AppArmor confines the original.

    Raises `MachineCannot` if it is not installed.
    """
    return _unconfined(_program(name), directory)


def _kill(processes: Iterable[_Process]) -> None:
    for process in processes:
        process.kill()


def _add_domestic_authority(net: ServerNetwork, network: Network) -> None:
    authority = domestic_authority(network)
    with net.get(authority.node).namespace.netlink() as netlink:
        for address in authority.addresses:
            netlink.addr("replace", index=LOOPBACK, address=str(address), prefixlen=address.max_prefixlen)


def _unconfined(program: str, directory: Path) -> str:
    """Returns the program, or a copy of it if an AppArmor profile confines it to the machine's own configuration.

    Debian's unbound may read little but /etc/unbound; profiles apply by the executable's path.
    """
    name = Path(program).name
    profiles = (_APPARMOR / name, _APPARMOR / program.strip("/").replace("/", "."))
    if not any(profile.exists() for profile in profiles):
        return program
    copy = directory / "programs" / name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, copy)
    return str(copy)


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PROGRAMS}")
    if found is None:
        if name in PACKAGES:
            raise MachineCannot(f"start {name}", "it is not installed", f"sudo apt-get install {PACKAGES[name]}")
        mend = f"chmod +x {name}" if Path(name).is_file() else "install it, or name another in the topology's `serves`"
        raise MachineCannot(f"start {name}", "no executable program of that name", mend)
    return found


def _listed(items: Sequence[str], most: int = 5) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _tail(log: Path) -> str:
    with suppress(OSError):
        return log.read_text(errors="replace")[-_TAIL:].strip() or "its log is empty"
    return "it has no log"
