"""TCP connections and TLS over them, step by step, on non-blocking sockets.

They use plain sockets and `ssl.SSLObject`, not asyncio's streams: steps are separate, as OONI records them, and a probe
takes half the CPU time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final, Self

from shutdownlab.config.addresses import endpoint
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession

_CHUNK: Final = 65536
_NEXT_S: Final = 0.25
# Close with RST instead of FIN: nothing is retransmitted into a path that is cut.
_ABORT: Final = struct.pack("ii", 1, 0)


def _ignore(_octets: int) -> None:
    """The default of `TcpStream.on_octets`."""


class TcpStream:
    """An open TCP connection; a context manager that closes it.

    `on_octets` is called with the number of bytes whenever some arrive; under TLS too, long before a record is
    complete.
    """

    alpn = ""

    def __init__(self, session: ProbeSession, sock: socket.socket, ip: str, port: int, transaction: int) -> None:
        self.session, self.sock, self.ip, self.port, self.transaction = session, sock, ip, port, transaction
        self.on_octets: Callable[[int], None] = _ignore

    @property
    def address(self) -> str:
        return endpoint(self.ip, self.port)

    async def send(self, data: bytes) -> None:
        """Raises OSError."""
        await self.session.loop.sock_sendall(self.sock, data)
        self.session.trace.event("write", self.transaction, num_bytes=len(data))

    async def receive(self) -> bytes:
        """Returns the next bytes, b"" at the end of the stream; raises OSError."""
        try:
            data = await self.session.loop.sock_recv(self.sock, _CHUNK)
        except OSError as error:
            self.session.trace.event("read", self.transaction, failure=failure_of(error))
            raise
        self.session.trace.event("read", self.transaction, num_bytes=len(data), failure=None if data else "eof_error")
        self.on_octets(len(data))
        return data

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self.sock.fileno() >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close()


async def connect(session: ProbeSession, ip: str, port: int) -> TcpStream:
    """Opens a TCP connection within the session's timeout; raises `StepFailed`.

    After half of it, a second attempt starts in parallel, and the first result of either counts: the kernel retransmits
    a lost SYN only after a second (RFC 6298, 2), which is longer than the timeout of most tries.
    """
    trace = session.trace
    transaction, started = trace.transaction(), trace.now()
    failure: str | None = None
    opened: socket.socket | None = None
    opening = _Opening(session.loop, ip, port)
    again = session.loop.call_later(session.patience / 2, opening.begin)
    try:
        opening.begin()
        async with patience(session.patience):
            opened = await opening.settled
    except TimeoutError as error:
        failure = failure_of(opening.heard() or error)
    except OSError as error:
        failure = failure_of(error)
    finally:
        again.cancel()
        opening.close(but=opened)
    trace.connected(started, ip, port, failure, transaction)
    trace.event("connect", transaction, address=endpoint(ip, port), proto="tcp", failure=failure)
    if opened is None:
        assert failure is not None, "it was opened, or it was not"
        raise StepFailed(failure, "connect")
    return TcpStream(session, opened, ip, port, transaction)


class _Opening:
    """Parallel attempts to connect to one address and port; `settled` gets the first result."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ip: str, port: int) -> None:
        self.settled: asyncio.Future[socket.socket] = loop.create_future()
        self._loop, self._to = loop, (ip, port)
        self._family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        self._under_way: list[socket.socket] = []

    def begin(self) -> None:
        """Starts one more attempt, unless there is a result."""
        if self.settled.done():
            return
        try:
            sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            self.settled.set_exception(error)
            return
        self._under_way.append(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = sock.connect_ex(self._to)
        if number == errno.EINPROGRESS:
            self._loop.add_writer(sock, self._settle, sock)
        else:
            self._conclude(sock, number)

    def _settle(self, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        self._conclude(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _conclude(self, sock: socket.socket, number: int) -> None:
        if self.settled.done():
            return
        if number:
            self.settled.set_exception(OSError(number, os.strerror(number)))
        else:
            self.settled.set_result(sock)

    def heard(self) -> OSError | None:
        """Returns an ICMP error that the kernel has only noted as a soft error (RFC 1122, 4.2.3.9), if any."""
        noted = (sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for sock in self._under_way)
        return next((OSError(number, os.strerror(number)) for number in noted if number), None)

    def close(self, but: socket.socket | None) -> None:
        """Closes all sockets but one."""
        for sock in self._under_way:
            if sock is not but:
                self._loop.remove_writer(sock)
                sock.close()


async def open_first(session: ProbeSession, addresses: tuple[str, ...], port: int) -> TcpStream:
    """Connects to the first address that accepts; raises the last one's `StepFailed` if none does.

    Each attempt starts when one has failed or after 0.25 s (RFC 8305, 5).
    """
    if len(addresses) == 1:
        return await connect(session, addresses[0], port)
    waiting, attempts = list(addresses), list[asyncio.Task[TcpStream]]()
    opened: TcpStream | None = None
    try:
        while waiting or not all(attempt.done() for attempt in attempts):
            if waiting:
                attempts.append(asyncio.create_task(connect(session, waiting.pop(0), port)))
            pending = [attempt for attempt in attempts if not attempt.done()]
            await asyncio.wait(pending, timeout=_NEXT_S if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            opened = next((each.result() for each in attempts if each.done() and each.exception() is None), None)
            if opened is not None:
                return opened
        return attempts[-1].result()
    finally:
        for attempt in attempts:
            if not attempt.done():
                attempt.cancel()
            elif attempt.exception() is None and attempt.result() is not opened:
                attempt.result().close()


class TlsStream(TcpStream):
    """TLS over an open connection, which it takes over."""

    def __init__(self, tcp: TcpStream, server_name: str, alpn: tuple[str, ...]) -> None:
        super().__init__(tcp.session, tcp.sock, tcp.ip, tcp.port, tcp.transaction)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = tcp.session.trust.context(tcp.session.request.ca, alpn)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_name)

    async def shake_hands(self) -> None:
        """Raises OSError (including `ssl.SSLError`)."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                await self._flush()  # the alert
                raise
            else:
                await self._flush()
                self.alpn = self._tls.selected_alpn_protocol() or ""
                return

    async def send(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def described(self) -> tuple[str, str, list[bytes]]:
        """Returns cipher suite, TLS version and the server's certificate (DER), as far as the handshake got."""
        cipher, leaf = self._tls.cipher(), None
        try:
            leaf = self._tls.getpeercert(binary_form=True)
        except ValueError:
            leaf = None  # the handshake did not get that far
        return cipher[0] if cipher else "", self._tls.version() or "", [leaf] if leaf else []

    async def _flush(self) -> None:
        if self._out.pending:
            await super().send(self._out.read())

    async def _fill(self) -> None:
        data = await super().receive()
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()


async def handshake(tcp: TcpStream, server_name: str, alpn: tuple[str, ...] = ()) -> TlsStream:
    """Negotiates TLS with SNI `server_name` and verifies the certificate, within the session's timeout.

    Raises `StepFailed`; the caller must then still close the connection.
    """
    session, trace = tcp.session, tcp.session.trace
    started = trace.now()
    trace.event("tls_handshake_start", tcp.transaction)
    stream = TlsStream(tcp, server_name, alpn)
    failure: str | None = None
    try:
        async with patience(session.patience):
            await stream.shake_hands()
    except OSError as error:
        failure = failure_of(error)
    cipher, version, certificates = stream.described() if failure is None else ("", "", [])
    trace.event("tls_handshake_done", tcp.transaction, failure=failure)
    trace.shook_hands(
        started,
        address=tcp.address,
        server_name=server_name,
        failure=failure,
        transaction=tcp.transaction,
        cipher=f"TLS_{cipher}" if cipher and not cipher.startswith("TLS_") else cipher,
        version=version,
        alpn=stream.alpn,
        certificates=certificates,
    )
    if failure is not None:
        raise StepFailed(failure, "tls_handshake")
    return stream
