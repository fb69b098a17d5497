"""HTTP/3 (RFC 9114) over QUIC, both with aioquic."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent

from shutdownlab.config.addresses import endpoint
from shutdownlab.probes.browser import request_headers, target_of
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import EOF, StepFailed, failure_of
from shutdownlab.probes.http import Response, record_unsent
from shutdownlab.probes.kinds import Page
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.trust import key_log
from shutdownlab.probes.web import page_test

_MAX_BODY: Final = 65536
# CRYPTO_ERROR (RFC 9000 §20.1) plus TLS alert (RFC 8446 §6).
_CRYPTO: Final = 0x100
_BAD_CERTIFICATE, _EXPIRED, _UNKNOWN_CA = 42, 45, 48
_HANDSHAKE, _ROUND_TRIP = "quic_handshake", "http_round_trip"


async def http3_test(session: ProbeSession, ask: Page) -> Conclusion:
    """Like `web_test`, over QUIC."""
    return await page_test(session, ask, fetch)


async def fetch(session: ProbeSession, url: str) -> Response:
    """GETs a page over HTTP/3; raises `StepFailed`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        address = (await lookup(session, host)).addresses[0]
        return await _fetch_from(session, parts, host, address)
    except StepFailed as failed:
        if failed.operation != _ROUND_TRIP:
            record_unsent(session, "GET", url, failed.failure)
        raise


async def _fetch_from(session: ProbeSession, parts: SplitResult, host: str, address: str) -> Response:
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN,
        server_name=host,
        cadata=session.trust.pem(session.request.ca),
        verify_mode=ssl.CERT_REQUIRED,
        initial_rtt=min(0.1, session.patience / 6),
        secrets_log_file=key_log(),
    )
    quic = QuicConnection(configuration=configuration)
    with socket.socket(session.address_family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect((address, parts.port or 443))
        except OSError as error:
            raise StepFailed(failure_of(error), _HANDSHAKE) from error
        # In the kernel's form (four fields in IPv6), by which aioquic distinguishes paths.
        peer = sock.getpeername()
        transport, client = await session.loop.create_datagram_endpoint(lambda: _Client(quic), sock=sock)
        try:
            await _shake_hands(session, client, peer, host)
            return await _round_trip(session, client, parts, endpoint(*peer[:2]))
        finally:
            client.close()
            transport.close()


class _Client(QuicConnectionProtocol):
    """One connection with one request. Its futures fail if the connection ends."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.shaken: asyncio.Future[HandshakeCompleted] = self._loop.create_future()
        self.response: asyncio.Future[Response] = self._loop.create_future()
        self._http: H3Connection | None = None
        self._code = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = bytearray()

    def request(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._http = H3Connection(self._quic)
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, headers, end_stream=True)
        self.transmit()

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        super().datagram_received(data, addr)
        # When we close (the certificate is not the site's), aioquic reports it only after a silence longer than our
        # timeout.
        closing = getattr(self._quic, "_close_event", None)
        if closing is not None:
            self._fail(_failure_of_close(closing))

    def error_received(self, exc: Exception) -> None:
        """Handles an ICMP error, which the kernel reports to a connected socket."""
        self._fail(failure_of(exc))

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, HandshakeCompleted):
            if not self.shaken.done():
                self.shaken.set_result(event)
        elif isinstance(event, ConnectionTerminated):
            self._fail(_failure_of_close(event))
        if self._http is None:
            return
        for received in self._http.handle_event(event):
            if isinstance(received, HeadersReceived):
                pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in received.headers]
                self._code = int(dict(pairs).get(":status", "0"))
                self._headers = tuple(pair for pair in pairs if not pair[0].startswith(":"))
            elif isinstance(received, DataReceived):
                self._body += received.data
            ended = getattr(received, "stream_ended", False)
            if (ended or len(self._body) >= _MAX_BODY) and not self.response.done():
                self.response.set_result(Response(self._code, self._headers, bytes(self._body), not ended))

    def _fail(self, failure: str) -> None:
        for future, operation in ((self.shaken, _HANDSHAKE), (self.response, _ROUND_TRIP)):
            if not future.done():
                future.set_exception(StepFailed(failure, operation))
                future.exception()  # marks it as retrieved: it may have no waiter


async def _shake_hands(session: ProbeSession, client: _Client, peer: tuple[Any, ...], host: str) -> None:
    trace = session.trace
    started, transaction, address = trace.now(), trace.transaction(), endpoint(*peer[:2])
    failure: str | None = None
    event: HandshakeCompleted | None = None
    trace.event("quic_handshake_start", transaction, address=address, proto="udp")
    try:
        async with patience(session.patience):
            client.connect(peer)
            event = await client.shaken
    except (OSError, StepFailed) as error:
        failure = failure_of(error)
    trace.event("quic_handshake_done", transaction, address=address, proto="udp", failure=failure)
    trace.shook_hands(
        started,
        address=address,
        server_name=host,
        failure=failure,
        transaction=transaction,
        network="udp",
        version="TLSv1.3" if event else "",
        alpn=(event.alpn_protocol or "") if event else "",
    )
    if failure is not None:
        raise StepFailed(failure, _HANDSHAKE)


async def _round_trip(session: ProbeSession, client: _Client, parts: SplitResult, address: str) -> Response:
    trace = session.trace
    started, failure = trace.now(), None
    headers = [pair for pair in request_headers(parts) if pair[0] not in {"Host", "Connection"}]
    pseudo = {":method": "GET", ":scheme": "https", ":authority": parts.netloc, ":path": target_of(parts)}
    response = Response(0, (), b"")
    try:
        async with patience(2 * session.patience):
            client.request([(k.lower().encode(), v.encode()) for k, v in [*pseudo.items(), *headers]])
            response = await client.response
    except (OSError, StepFailed) as error:
        failure = failure_of(error)
    trace.requested(
        started,
        method="GET",
        url=parts.geturl(),
        headers=[("Host", parts.netloc), *headers],
        failure=failure,
        transaction=trace.transaction(),
        transport="quic",
        address=address,
        alpn="h3",
        code=response.code,
        response_headers=response.headers,
        body=response.body,
        truncated=response.truncated,
    )
    if failure is not None:
        raise StepFailed(failure, _ROUND_TRIP)
    return response


def _failure_of_close(event: Any) -> str:
    """Returns OONI's name for the reason why a QUIC connection ended."""
    reason, code = event.reason_phrase, event.error_code
    if "common protocol version" in reason:
        return "quic_incompatible_version"
    if reason == "Idle timeout":
        return "generic_timeout_error"
    if not _CRYPTO <= code < 2 * _CRYPTO:
        return EOF if code == 0 else f"unknown_failure: QUIC error {code:#x}: {reason}"
    if "doesn't match" in reason:
        return "ssl_invalid_hostname"
    alert = code - _CRYPTO
    if alert == _EXPIRED:
        return "ssl_invalid_certificate"
    if alert in {_BAD_CERTIFICATE, _UNKNOWN_CA}:
        return "ssl_unknown_authority" if "issuer" in reason or "self" in reason else "ssl_invalid_certificate"
    return "ssl_failed_handshake"
