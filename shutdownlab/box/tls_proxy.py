"""The TLS proxy that intercepts for a DPI box: a process in a network namespace of its own, beside the box.

The box hands connections over to it once the client has named a server. If that server's own certificate is trusted by
browsers, the proxy takes the place of both ends (see `system.tcp_repair`) and speaks TLS with each, showing the client
a forged certificate (see `forgery`) and the application protocol that the server has chosen among those the client
offers; otherwise it leaves the connection alone. All its traffic passes through the box, over the link "proxy".
"""

from __future__ import annotations

import socket
import ssl
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter
from pyroute2 import IPRoute

from shutdownlab.box.forgery import Forger
from shutdownlab.inspection.recognisers.tls import recognise_tls
from shutdownlab.inspection.recognisers.tls_records import HANDSHAKE
from shutdownlab.protocol.own_errors import OWN_ERRORS
from shutdownlab.system import polling
from shutdownlab.system.child_process import Child, Forked, fork
from shutdownlab.system.ethtool import CHECKSUMS, Feature
from shutdownlab.system.namespace import LOOPBACK, Namespace
from shutdownlab.system.netns import inside
from shutdownlab.system.syscalls import CLONE_NEWNET, unshare
from shutdownlab.system.tcp_repair import Place, give_back, take_place, transparent

LINK: Final = "proxy"
"""The interface's name, at both ends."""

ADDRESS: Final = bytes.fromhex("020000005001")
"""The proxy's Ethernet address on that link; it accepts frames only for this address."""

ECHOES: Final = bytes((198, 18, 0, 2))
"""An address of the proxy's own, from RFC 2544, at which it answers the box's echoes."""

PROXY: Final = "prx-"
"""The prefix of a proxy's process name; the box's name follows."""

_HANDSHAKE_S: Final = 5.0
_IDLE_S: Final = 300.0
_LONGEST: Final = 65536
LONGEST_HELLO: Final = 65536
"""Bytes of a client's first flight that are examined."""
_MOST: Final = 65536
"""Simultaneous connections, each with a thread: as many as the box remembers."""
_TABLE: Final = 100
_PORTS: Final = "16384 32767"
"""Source ports of the proxy's own connections, which use a client's address: disjoint from Linux' ephemeral ports, so
that they never coincide with a connection of the client to the same server."""
_QUIET_IPV6: Final = ("disable_ipv6", "accept_dad", "accept_ra")


@dataclass(frozen=True, slots=True)
class Handover:
    """A connection to intercept: the state of both ends, which the proxy is to take over, and the server's name."""

    number: int
    host: str
    as_server: Place
    as_client: Place


@dataclass(frozen=True, slots=True)
class HandoverReply:
    """Whether the proxy has taken over; if not, `why`, and whether the server's certificate is the cause."""

    number: int
    taken: bool
    why: str = ""
    left_alone: bool = False


@dataclass(frozen=True, slots=True)
class ProxyTrouble:
    """The proxy failed for a reason on this machine, not because of a server or client."""

    trouble: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A question whether the proxy is alive, and its answer."""

    beat: Literal[True]


_Server = tuple[str, int, str]
"""A server's address and port, and the name that the client gives it."""

# Not in `protocol`: they contain kernel state, and are exchanged only between a box and its child.
_REQUEST: Final[TypeAdapter[Handover | Beat]] = TypeAdapter(Handover | Beat)
_REPLY: Final[TypeAdapter[HandoverReply | ProxyTrouble | Beat]] = TypeAdapter(HandoverReply | ProxyTrouble | Beat)


def is_unfinished(stream: bytes) -> bool:
    """Returns whether the first bytes from a client are an incomplete ClientHello."""
    if len(stream) >= LONGEST_HELLO or stream[:1] != bytes((HANDSHAKE,)):
        return False
    found = recognise_tls(stream)
    return found is not None and found.more


class ProxyProcess:
    """The box's handle of its proxy process."""

    def __init__(self, process: Forked) -> None:
        self._process = process

    def fileno(self) -> int:
        """Returns the file descriptor that is readable when `replies` has messages."""
        return self._process.fileno()

    def hand_over(self, handover: Handover) -> None:
        """Asks the proxy to take a connection over; never blocks. Raises ConnectionError if the proxy has ended."""
        self._ask(handover)

    def beat(self) -> None:
        """Asks the proxy for a `Beat`; never blocks. Raises ConnectionError if the proxy has ended."""
        self._ask(Beat(True))

    def _ask(self, request: Handover | Beat) -> None:
        if not self._process.send(_REQUEST.dump_json(request) + b"\n"):
            raise self._ended()

    def replies(self) -> list[HandoverReply | ProxyTrouble | Beat]:
        """Returns the proxy's replies since the last call; never blocks. Raises ConnectionError if it has ended."""
        replies = [_REPLY.validate_json(line) for line in self._process.receive()]
        if not replies and self._process.hung_up:
            raise self._ended()
        return replies

    def stop(self) -> None:
        """Stops the proxy; raises ForkedError if it had to be killed."""
        self._process.stop()
        self._process.close()

    def _ended(self) -> ConnectionError:
        return ConnectionError(self._process.failure or f"{self._process.name} has ended")


def start_proxy(
    name: str, box: Path | None, trusted: Path | None, root: Path | None, deadline_s: float = 60.0
) -> ProxyProcess:
    """Starts the proxy of the DPI box `name`, whose namespace is `box`; returns once the link between them is up.

    `trusted`: the CAs that browsers trust, PEM (None: the machine's). `root`: the file of the forger's root. Raises
    ForkedError.
    """

    def main(child: Child) -> None:
        unshare(CLONE_NEWNET)
        _plug_in(box)
        # Threads are kept: the kernel reports the CPU wait only of threads that exist.
        threads = ThreadPoolExecutor(_MOST)
        with tempfile.TemporaryDirectory(prefix="shutdownlab-") as scratch:
            proxy = _Proxy(Path(scratch), trusted, Forger(root), child)
            child.ready()
            while child.stop_fd not in polling.wait([child.lines, child.stop_fd]):
                for line in child.receive():
                    request = _REQUEST.validate_json(line)
                    if isinstance(request, Beat):
                        proxy.answer(request)
                    else:
                        threads.submit(proxy.serve, request).add_done_callback(proxy.served)
                if child.lines.ended is not None:
                    break

    process = fork(f"{PROXY}{name}", main)
    process.wait_ready(deadline_s)
    return ProxyProcess(process)


def _plug_in(box: Path | None) -> None:
    """Links this namespace with the box's, and adds routes by which every address is local for incoming packets, and
    behind the link for outgoing ones."""
    own_namespace = Namespace.current("proxy")
    with inside(box), IPRoute() as netlink:
        there = {"ifname": LINK, "net_ns_fd": own_namespace.descriptor()}
        netlink.link("add", ifname=LINK, kind="veth", state="up", peer=there)
    scopes = ("all", "default", LINK)
    settings: dict[str, object] = {f"net/ipv6/conf/{scope}/{name}": 0 for scope in scopes for name in _QUIET_IPV6}
    settings |= {f"net/ipv4/conf/{scope}/rp_filter": 0 for scope in ("all", LINK)}
    own_namespace.set_sysctls(settings | {"net/ipv4/ip_local_port_range": _PORTS})
    with own_namespace.netlink() as netlink:
        (link,) = netlink.link_lookup(ifname=LINK)
        netlink.link("set", index=LOOPBACK, state="up")
        netlink.link("set", index=link, address=ADDRESS.hex(":"), arp=False)
        netlink.link("set", index=link, state="up")
        netlink.addr("add", index=LOOPBACK, address=str(ip_address(ECHOES)), prefixlen=32)
        Feature(CHECKSUMS).switch_off(LINK)  # some versions of Open vSwitch do not fill them in (see `country.offload`)
        for family in (socket.AF_INET, socket.AF_INET6):
            netlink.route("add", dst="default", oif=link, scope="link", family=family)
            netlink.route("add", dst="default", type="local", scope="host", oif=LOOPBACK, table=_TABLE, family=family)
            netlink.rule("add", iifname=LINK, table=_TABLE, family=family)


class _Proxy:
    """Serves handovers, each in a thread."""

    def __init__(self, scratch: Path, trusted: Path | None, forger: Forger, child: Child) -> None:
        self._scratch = scratch
        self._trusted = trusted
        self._forger = forger
        self._child = child
        self._lock = threading.Lock()
        self._true: dict[_Server, Future[bytes]] = {}
        self._forged: dict[bytes, Path] = {}

    def serve(self, handover: Handover) -> None:
        try:
            forged = self._forge(self._certificate(handover))
            inward, outward = _take_places(handover)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._tell(error)
            self._reply(HandoverReply(handover.number, False, f"{type(error).__name__}: {error}", _is_servers(error)))
            return
        self._reply(HandoverReply(handover.number, True))
        try:
            self._speak(handover.host, forged, inward, outward)
        except OSError as error:
            self._tell(error)

    def _speak(self, host: str, forged: Path, inward: socket.socket, outward: socket.socket) -> None:
        """Makes TLS handshakes with both ends, and relays until one closes; raises OSError."""
        with inward, outward:
            for end in (inward, outward):
                end.settimeout(_HANDSHAKE_S)
            true = self._outward(_offered(inward)).wrap_socket(outward, server_hostname=host)
            false = _inward(forged, true.selected_alpn_protocol()).wrap_socket(inward, server_side=True)
            with true, false:
                _relay(true, false)
                for channel in (true, false):
                    with suppress(OSError):  # sends close_notify, and does not wait for the peer's
                        channel.unwrap()

    def _tell(self, error: BaseException) -> None:
        """Reports an error caused by this machine; errors caused by a server, a client or the network are ignored."""
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno in OWN_ERRORS:
            self._reply(ProxyTrouble(f"{type(error).__name__}: {error}"))

    def served(self, served: Future[None]) -> None:
        """Reports an uncaught exception of a thread."""
        if (error := served.exception()) is not None:
            traceback.print_exception(error)
            self._reply(ProxyTrouble(f"{type(error).__name__}: {error}"))

    def answer(self, beat: Beat) -> None:
        """Says that the proxy is alive."""
        self._reply(beat)

    def _reply(self, reply: HandoverReply | ProxyTrouble | Beat) -> None:
        self._child.send(_REPLY.dump_json(reply) + b"\n")

    def _certificate(self, handover: Handover) -> bytes:
        """Returns the server's own certificate (DER).

        It is fetched once for all connections that need it at the same time; after a failure the next connection tries
        again. Raises ssl.SSLCertVerificationError if browsers do not trust it, and OSError.
        """
        key = (*handover.as_client.peer, handover.host)
        with self._lock:
            known = self._true.get(key)
            asks = known is None
            if known is None:
                known = self._true[key] = Future()
        if asks:
            try:
                known.set_result(self._ask(handover))
            except BaseException as error:
                with self._lock:
                    del self._true[key]
                known.set_exception(error)
        return known.result()

    def _ask(self, handover: Handover) -> bytes:
        """Ask the server for its certificate, in the client's name; raises as `_certificate` does."""
        server, client = handover.as_client.peer, handover.as_client.own
        with transparent(socket.AF_INET6 if ":" in client[0] else socket.AF_INET) as asking:
            asking.settimeout(_HANDSHAKE_S)
            asking.bind((client[0], 0))
            asking.connect(server)
            with self._outward(()).wrap_socket(asking, server_hostname=handover.host) as channel:
                return channel.getpeercert(binary_form=True) or b""

    def _outward(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """Returns the context of a client that offers these application protocols."""
        context = ssl.create_default_context(cafile=str(self._trusted) if self._trusted else None)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def _forge(self, true: bytes) -> Path:
        """Returns the file of the forged certificate for the true one, with its key; always the same for each."""
        with self._lock:
            path = self._forged.get(true)
            if path is None:
                forged = self._forger.forge(true)
                path = self._forged[true] = self._scratch / f"{len(self._forged)}.pem"
                path.write_bytes(forged.certificate + forged.key)
        return path


def _take_places(handover: Handover) -> tuple[socket.socket, socket.socket]:
    """Returns the sockets in place of the server and of the client: both or, raising OSError, none."""
    inward = take_place(handover.as_server)
    try:
        return inward, take_place(handover.as_client)
    except OSError:
        give_back(inward)  # closed as usual, it would end the client's connection, which goes on without it
        raise


def _is_servers(error: BaseException) -> bool:
    """Whether a server has answered, and what it said is why it is left alone: no trusted certificate, no TLS."""
    return isinstance(error, ValueError | ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)


def _inward(forged: Path, protocol: str | None) -> ssl.SSLContext:
    """Returns the context of a server with this certificate, which selects this application protocol (RFC 7301)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forged)
    if protocol is not None:
        context.set_alpn_protocols([protocol])
    return context


def _offered(client: socket.socket) -> tuple[str, ...]:
    """Returns the application protocols in the ClientHello, which is only peeked at; raises TimeoutError."""
    end = time.monotonic() + _HANDSHAKE_S
    hello = b""
    try:
        while not hello or is_unfinished(hello):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(hello) + 1)
            client.settimeout(max(0.001, end - time.monotonic()))
            more = client.recv(LONGEST_HELLO, socket.MSG_PEEK)
            if len(more) <= len(hello):
                break  # the client has closed
            hello = more
    finally:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        client.settimeout(_HANDSHAKE_S)
    found = recognise_tls(hello)
    return tuple(name for name in found.alpn if name and name.isascii()) if found is not None else ()


def _relay(one: ssl.SSLSocket, other: ssl.SSLSocket) -> None:
    """Relays plaintext both ways until one end has closed and all its data has been sent."""
    ways = (_Way(one, other), _Way(other, one))
    for end in (one, other):
        end.setblocking(False)
    while not any(way.ended and not way.waiting for way in ways):
        moved = [way.turn() for way in ways]
        if any(moved):
            continue
        reading = [way.source for way in ways if not way.ended]
        writing = [way.target for way in ways if way.waiting]
        if not polling.wait(reading, writing, _IDLE_S):
            return


class _Way:
    """One direction of a relay; `waiting` has been read and not yet written."""

    def __init__(self, source: ssl.SSLSocket, target: ssl.SSLSocket) -> None:
        self.source, self.target = source, target
        self.waiting = bytearray()
        self.ended = False

    def turn(self) -> bool:
        """Reads and writes without blocking; returns whether any data moved."""
        moved = False
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while not self.ended and len(self.waiting) < _LONGEST:
                data = self.source.recv(_LONGEST)
                self.ended = not data
                self.waiting += data
                moved = True
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self.waiting:
                del self.waiting[: self.target.send(self.waiting)]
                moved = True
        return moved
