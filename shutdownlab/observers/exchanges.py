"""Connections from abroad into the country, many at once: what each sends, and its result.

They use sockets of a node abroad, with a separate source address per exchange: boxes keep state by address, and one
connection's verdict must not affect another.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from shutdownlab.probes.handshake import client_context
from shutdownlab.system.namespace import Namespace

_PENDING: Final = {errno.EINPROGRESS, errno.EAGAIN}
_MOST_BYTES: Final = 1 << 18
_TIME_EXCEEDED: Final = 11
_TIMES_A_CONTROL: Final = 4
"""How many times as long as the slowest control the other exchanges may take."""
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with timeout 0: closing a connection resets it, without retransmissions."""


@dataclass(slots=True)
class Exchange:
    """One connection: over TLS to `server_name`, or sending `request` over plain TCP; `ttl`: IP TTL after the
    handshake.

    `whole`: whether to wait for the complete answer, or only for its first octets. Results: `received`; `error`, in the
    words of Go's libraries; `began` and `ended` by the wall clock; `exceeded`: the router that sent ICMP time exceeded,
    and the packet octets that it quoted.
    """

    source: str
    address: str
    port: int
    request: bytes
    server_name: str | None = None
    ttl: int | None = None
    whole: bool = True
    connected: bool = False
    received: bytes = b""
    error: str = ""
    began: float = 0.0
    ended: float = 0.0
    exceeded: tuple[str, bytes] | None = None
    tls_version: str = ""
    cipher: str = ""
    certificate: bytes = b""
    own_port: int = 0
    _wire: _Tls | None = None

    @property
    def over(self) -> bool:
        return bool(self.ended)

    @property
    def reset(self) -> bool:
        return self.error.endswith("connection reset by peer")

    def end(self, error: str = "") -> None:
        """Ends the exchange."""
        self.ended, self.error = time.time(), error

    @property
    def dialled(self) -> str:
        return f"dial tcp {self.address}:{self.port}"

    @property
    def read(self) -> str:
        return f"read tcp {self.source}:{self.own_port}->{self.address}:{self.port}"


def tls_context() -> ssl.SSLContext:
    """Returns a client's context that accepts any certificate, which is part of the result."""
    context = client_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client_hello(name: str) -> bytes:
    """Returns a TLS record with OpenSSL's ordinary ClientHello for a name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        tls_context().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@dataclass(slots=True)
class _Tls:
    """TLS over a non-blocking socket, with memory BIOs."""

    object_: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    shaken: bool = False


def play(
    namespace: Namespace, exchanges: Sequence[Exchange], patience: float, controls: Sequence[Exchange] = ()
) -> None:
    """Runs all exchanges in parallel. Raises `OSError` if a socket cannot be made.

    patience: overall timeout in seconds. If one of `controls`, a subset of the exchanges, is answered late, the
    machine is slow, and the timeout becomes `_TIMES_A_CONTROL` times what the control took.
    """
    context = tls_context()
    with ExitStack() as stack:
        with namespace.entered():
            icmp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
            sockets = [stack.enter_context(socket.socket()) for _ in exchanges]
        icmp.setblocking(False)
        poller = select.poll()
        poller.register(icmp, select.POLLIN)
        by_fd = {}
        for each, sock in zip(exchanges, sockets, strict=True):
            if _dial(each, sock, context):
                by_fd[sock.fileno()] = each, sock
                poller.register(sock, select.POLLOUT)
        ports = {(each.address, each.own_port): each for each in exchanges}
        begun = time.monotonic()
        until = begun + patience
        tell = {id(control) for control in controls}
        while (left := until - time.monotonic()) > 0 and any(not each.over for each in exchanges):
            for fd, _ in poller.poll(1000 * left):
                if fd == icmp.fileno():
                    _hear(icmp, ports)
                    continue
                each, sock = by_fd[fd]
                wanted = _step(each, sock)
                if each.over:
                    poller.unregister(fd)
                    if id(each) in tell and not each.error:
                        until = max(until, begun + _TIMES_A_CONTROL * (time.monotonic() - begun))
                else:
                    poller.modify(fd, wanted)
        for each in exchanges:
            if not each.over:
                each.end(f"{each.read if each.connected else each.dialled}: i/o timeout" if not each.received else "")


def _dial(each: Exchange, sock: socket.socket, context: ssl.SSLContext) -> bool:
    """Starts to connect; returns whether the connection is in progress."""
    each.began = time.time()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((each.source, 0))
    each.own_port = sock.getsockname()[1]
    if each.server_name is not None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        each._wire = _Tls(context.wrap_bio(incoming, outgoing, server_hostname=each.server_name), incoming, outgoing)
    error = sock.connect_ex((each.address, each.port))
    if error and error not in _PENDING:
        each.end(f"{each.dialled}: connect: {os.strerror(error).lower()}")
    return not each.over


def _step(each: Exchange, sock: socket.socket) -> int:
    """Continues an exchange whose socket is ready; returns the poll events to wait for."""
    if not each.connected:
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            each.end(f"{each.dialled}: connect: {os.strerror(error).lower()}")
            return 0
        each.connected = True
        if each.ttl is not None:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, each.ttl)
        if each._wire is None:
            sock.send(each.request)
            return select.POLLIN
    try:
        return _speak_tls(each, each._wire, sock) if each._wire is not None else _listen(each, sock)
    except ConnectionResetError:
        each.end(f"{each.read}: read: connection reset by peer")
    except ssl.SSLEOFError:
        each.end("EOF")
    except ssl.SSLError as error:
        each.end(f"remote error: tls: {(error.reason or str(error)).lower().replace('_', ' ')}")
    except OSError as error:
        each.end(f"{each.read}: read: {(error.strerror or str(error)).lower()}")
    return 0


def _listen(each: Exchange, sock: socket.socket) -> int:
    data = sock.recv(1 << 16)
    each.received += data
    if not data:
        each.end("" if each.received else "EOF")
    elif not each.whole or len(each.received) > _MOST_BYTES:
        each.end()
    return select.POLLIN


def _speak_tls(each: Exchange, wire: _Tls, sock: socket.socket) -> int:
    ended = False
    with suppress(BlockingIOError):
        while data := sock.recv(1 << 16):
            wire.incoming.write(data)
        ended = True
        wire.incoming.write_eof()
    with suppress(ssl.SSLWantReadError):
        if not wire.shaken:
            wire.object_.do_handshake()
            wire.shaken = True
            each.tls_version, each.cipher = wire.object_.version() or "", (wire.object_.cipher() or ("",))[0]
            each.certificate = wire.object_.getpeercert(binary_form=True) or b""
            wire.object_.write(each.request)
        try:
            while data := wire.object_.read(1 << 16):
                each.received += data
            each.end("" if each.received else "EOF")
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            each.end("" if each.received else "EOF")
    if pending := wire.outgoing.read():
        with suppress(BrokenPipeError):
            sock.send(pending)
    if ended and not each.over:
        each.end("" if each.received else "EOF")
    return select.POLLIN


def _hear(icmp: socket.socket, ports: dict[tuple[str, int], Exchange]) -> None:
    """Reads ICMP time exceeded messages, and records each in its exchange."""
    with suppress(BlockingIOError):
        while True:
            data, (router, *_) = icmp.recvfrom(2048)
            message = data[(data[0] & 0x0F) * 4 :]
            if len(message) < 36 or message[0] != _TIME_EXCEEDED:
                continue
            quoted = message[8:]
            tcp = quoted[(quoted[0] & 0x0F) * 4 :]
            known_by = socket.inet_ntoa(quoted[16:20]), int.from_bytes(tcp[:2])
            if (each := ports.get(known_by)) is not None and each.exceeded is None:
                each.exceeded = router, quoted
