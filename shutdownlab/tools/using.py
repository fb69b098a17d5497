"""Uses a tool as a subscriber does: starts its client, connects through it, and fetches a page."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import h11

from shutdownlab.model.probe import MOST_PATIENCE
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.browser import request_headers, target_of
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import EOF, RESET, TIMEOUT, StepFailed, failure_of, own_failure
from shutdownlab.probes.patience import patience
from shutdownlab.probes.program import ProgramEnded, RunningProgram
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream, handshake
from shutdownlab.probes.throughput import DownloadMeter, concluded, download
from shutdownlab.system.child_process import ending

SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_DOWNLOAD_S: Final = 1.0
_LOOK_AGAIN_S: Final = 0.02
_AT_ONCE_A_PROCESSOR: Final = 2
_MOST_OCTETS: Final = 256 * 1024
_SAID: Final = (
    ("reset", RESET),
    ("refused", "connection_refused"),
    ("timed out", TIMEOUT),
    ("timeout", TIMEOUT),
    ("no route to host", "host_unreachable"),
    ("unreachable", "network_unreachable"),
    ("closed by", EOF),
)
"""Words in clients' messages, and OONI's names for the failures."""


class Exit(Protocol):
    """The client end of a tool: `open` connects through it to an address that only the tool's server can reach."""

    async def open(self, address: str, port: int) -> socket.socket:
        """Returns a connected, non-blocking socket. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class Using:
    """A tool in use: the session, the request, and `folder`, a directory of its own that is deleted afterwards."""

    session: ProbeSession
    use: ToolUse
    folder: Path

    @property
    def server(self) -> str:
        """The address of the tool's server."""
        return self.session.request.addresses[0]

    @property
    def services(self) -> Path:
        """The directory of all servers of the country."""
        return Path(self.session.request.ca).parent / "services"

    @property
    def handed_out(self) -> Path:
        """The server's directory, with the keys and settings for its users (`tools.serving.Outpost.home`)."""
        return home(self.services, self.use.tool, self.server, self.use.port)

    def start(self, *argv: str, **variables: str) -> RunningProgram:
        """Starts a program of the tool; use it in a `with` block. Raises `FileNotFoundError` if it is not installed.

        variables: additions to its environment.
        """
        path = f"{os.environ.get('PATH', os.defpath)}:{SBIN}"
        found = shutil.which(argv[0], path=path)
        if found is None:
            raise FileNotFoundError(f"{argv[0]} is not installed")
        environment = {**os.environ, "PATH": path, **variables}
        program = RunningProgram([found, *argv[1:]], str(self.folder), environment)
        self.session.programs.append(program)
        return program


Client = Callable[[Using], AbstractAsyncContextManager[Exit]]
"""Starts a tool's client, and yields once it is connected, or ready to connect on first use."""


def home(services: Path, tool: str, address: str, port: int) -> Path:
    """Returns the directory of a tool's server. services: the directory of all servers of the country."""
    return services / f"{tool}-{address}-{port}"


async def through(session: ProbeSession, use: ToolUse, client: Client) -> Conclusion:
    """Fetches the page through the tool, and measures its cost.

    Returns `ok` (or `throttled` if it is slow) with the milliseconds from the client's start to the page's first octet;
    doubtful if the page may have arrived by chance (`use.by_chance`). Raises `StepFailed`, always doubtful, if none
    arrived in time: a client that was slow to start looks the same. One that a signal ended, as the kernel does where
    memory is short, was ended by no policy: that is an error of the prober's own. The record's `x_tool` has the
    milliseconds, kbit/s of the download, and the client's last output.
    """
    try:
        return await _through(session, use, client)
    except StepFailed as failed:
        killed = next((program for program in session.programs if program.killed), None)
        if killed is None:
            raise
        why = own_failure(f"{Path(killed.name).name} {ending(-killed.killed)}")
        raise StepFailed(why, failed.operation) from failed


async def _through(session: ProbeSession, use: ToolUse, client: Client) -> Conclusion:
    """Like `through`, whoever has ended the client."""
    budget = max(use.timeout, session.patience)
    turn = await _turn(use.works)
    session.begin()
    # Only the overall deadline accounts for how long the programs waited for a CPU: no single step may time out first.
    steps = replace(session.request, timeout=MOST_PATIENCE * budget)
    patient = ProbeSession(steps, session.equipment, session.trace, session.programs)
    loop, began = session.loop, session.loop.time()
    record: dict[str, object] = {"tool": use.tool, "name": session.request.name, "stage": "connect"}
    session.trace.extra["x_tool"] = record
    folder = Path(tempfile.mkdtemp(prefix=f"{use.tool}-"))
    try:
        async with (
            patience(budget, session.waited_s) as deadline,
            client(Using(patient, use, folder)) as way_out,
        ):
            record |= {"stage": "fetch", "client_ms": _milliseconds(loop.time() - began)}
            fetched = await _fetched(patient, use, way_out, lambda: deadline.renew(budget + _DOWNLOAD_S))
    except StepFailed as failed:
        raise StepFailed(failed.failure, f"x_{record['stage']}", doubtful=True) from failed
    except ProgramEnded as ended:
        record["said"] = ended.said
        output = ended.said.lower()
        known = (name for words, name in _SAID if words in output)
        raise StepFailed(next(known, f"unknown_failure: {ended}"), f"x_{record['stage']}", doubtful=True) from ended
    except (TimeoutError, EOFError, ConnectionError) as error:
        raise StepFailed(failure_of(error), f"x_{record['stage']}", doubtful=True) from error
    finally:
        turn()
        shutil.rmtree(folder, ignore_errors=True)
    kbits = fetched.meter.octets * 8 / 1000 / max(fetched.meter.elapsed, 1e-3)
    connected = _milliseconds(fetched.first - began)
    record |= {"stage": "done", "connect_ms": connected, "received_bytes": fetched.meter.octets}
    record["kbits_per_second"] = round(kbits, 1)
    found = concluded(fetched.meter, use.throttled_below, connected, "ms")
    return replace(found, doubtful=found.doubtful or use.by_chance)


async def _turn(works: float) -> Callable[[], None]:
    """Waits until few clients of the country are starting; returns a function that ends the turn, which also ends by
    itself after `works` seconds.

    A hundred starting at once would only delay each other; clients that wait for the network cost nothing.
    """
    import fcntl  # Linux only, like all callers

    loop, slots = asyncio.get_running_loop(), _AT_ONCE_A_PROCESSOR * (os.cpu_count() or 1)
    while True:
        for number in range(slots):
            place = f"{tempfile.gettempdir()}/tool-turn-{os.getuid()}-{number}"  # another user's could not be opened
            taken = os.open(place, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(taken)
                continue
            over = False

            def end(taken: int = taken) -> None:
                nonlocal over
                if not over:
                    over = True
                    os.close(taken)

            loop.call_later(works, end)
            return end
        await asyncio.sleep(_LOOK_AGAIN_S)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A page's download: its meter, and `first`, the time of the first octets by the loop's clock."""

    meter: DownloadMeter
    first: float


async def _fetched(session: ProbeSession, use: ToolUse, way_out: Exit, comes: Callable[[], None]) -> _Fetched:
    """Fetches the page through a connected client; calls `comes` at its first octet."""
    parts = urlsplit(use.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    sock = await way_out.open(use.site, port)
    with TcpStream(session, sock, use.site, port, session.trace.transaction()) as tcp:
        stream = await handshake(tcp, host, ("http/1.1",)) if secure else tcp
        meter, first = DownloadMeter(_DOWNLOAD_S, session.waited_s), 0.0

        def count(octets: int) -> None:
            nonlocal first
            if not first:
                first = session.loop.time()
                comes()
            meter.count(octets)

        stream.on_octets = count
        head = h11.Request(method="GET", target=target_of(parts), headers=request_headers(parts))
        await download(stream, head, meter, _MOST_OCTETS)
    return _Fetched(meter, first)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


@asynccontextmanager
async def socks_client(
    using: Using, argv: Sequence[str], ready: str, port: int, **variables: str
) -> AsyncIterator[Exit]:
    """Starts a client with a SOCKS proxy at `port` of 127.0.0.1; yields once its output matches the regular expression
    `ready`."""
    with using.start(*argv, **variables) as program:
        await program.says(ready)
        await _accepts(port)
        yield Socks(port)


async def _accepts(port: int) -> None:
    """Waits until a port of 127.0.0.1 accepts connections: some clients report that a moment too early."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            try:
                await loop.sock_connect(sock, ("127.0.0.1", port))
            except ConnectionRefusedError:
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                return


class Socks:
    """A SOCKS 5 proxy (RFC 1928) at a port of this machine, without authentication."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self, address: str, port: int) -> socket.socket:
        """Returns a connection through the proxy. Raises OSError, EOFError."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, ("127.0.0.1", self.port))
            await loop.sock_sendall(sock, b"\x05\x01\x00")
            if await _exactly(sock, 2) != b"\x05\x00":
                raise ConnectionAbortedError("the proxy wants a password")
            there = ip_address(address)
            kind = b"\x01" if there.version == 4 else b"\x04"
            await loop.sock_sendall(sock, b"\x05\x01\x00" + kind + there.packed + struct.pack("!H", port))
            _, status, _, bound = await _exactly(sock, 4)
            if status:
                raise _SOCKS_ERRORS.get(status, ConnectionAbortedError)(f"the proxy answers with error {status}")
            await _exactly(sock, (4 if bound == 1 else 16) + 2)
        except BaseException:
            sock.close()
            raise
        return sock


_SOCKS_ERRORS: Final[Mapping[int, type[OSError]]] = {5: ConnectionRefusedError, 6: TimeoutError}


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop, data = asyncio.get_running_loop(), b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise EOFError("the proxy closed the connection")
        data += more
    return data


def free_port() -> int:
    """Returns a free port of 127.0.0.1."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class TunnelNamespace:
    """A network namespace whose only way out is a tunnel's device. Once closed, it exists as long as sockets in it."""

    def __init__(self) -> None:
        from shutdownlab.system import netns, syscalls

        with netns.returning():
            syscalls.unshare(syscalls.CLONE_NEWNET)
            self._net = os.open(netns.OWN, os.O_RDONLY | os.O_CLOEXEC)

    async def take(self, device: str, address: str, version: int) -> None:
        """Moves a device from this process's namespace into it, with `address` (with prefix length) and all traffic."""
        await asyncio.to_thread(self._take, device, address, version)  # pyroute2 has a loop of its own

    def _take(self, device: str, address: str, version: int) -> None:
        from pyroute2 import IPRoute

        from shutdownlab.system import netns

        with IPRoute() as netlink:
            [index] = netlink.link_lookup(ifname=device)
            netlink.link("set", index=index, net_ns_fd=self._net)
        with netns.inside(self._net), IPRoute() as netlink:
            [index] = netlink.link_lookup(ifname=device)
            local, length = address.split("/")
            netlink.addr("add", index=index, address=local, prefixlen=int(length))
            netlink.link("set", index=index, state="up")
            default = "0.0.0.0/0" if version == 4 else "::/0"
            netlink.route("add", dst=default, oif=index, family=socket.AF_INET if version == 4 else socket.AF_INET6)

    async def open(self, address: str, port: int) -> socket.socket:
        """Returns a connection from inside the namespace. Raises OSError."""
        sock = self._socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        from shutdownlab.system import netns

        with netns.inside(self._net):
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def close(self) -> None:
        """Closes the namespace's file descriptor."""
        os.close(self._net)

    def __enter__(self) -> TunnelNamespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


__all__ = ["Client", "Exit", "Socks", "TunnelNamespace", "Using", "free_port", "home", "socks_client", "through"]
