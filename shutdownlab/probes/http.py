"""HTTP/1.1 over an open stream, with h11."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import h11

from shutdownlab.probes.browser import PAGES, request_headers, target_of
from shutdownlab.probes.dns import lookup
from shutdownlab.probes.failure import StepFailed, failure_of
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream, handshake, open_first

_MAX_BODY: Final = 65536
_MAX_REDIRECTS: Final = 3
# A whole round trip may take this many times the timeout of a single wait for data.
_WHOLE: Final = 4


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. `body`: its first 64 KiB."""

    code: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool = False

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def is_fine(self) -> bool:
        return 200 <= self.code < 400


async def fetch(session: ProbeSession, url: str) -> Response:
    """GETs a page, following redirects; raises `StepFailed` of the step that failed."""
    for _ in range(_MAX_REDIRECTS):
        response = await _fetch_once(session, url)
        location = response.header("location")
        if not 300 <= response.code < 400 or not location:
            return response
        url = urljoin(url, location)
    return response


async def _fetch_once(session: ProbeSession, url: str) -> Response:
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    try:
        addresses = (await lookup(session, host)).addresses
        with await open_first(session, addresses, parts.port or (443 if secure else 80)) as tcp:
            stream = await handshake(tcp, host, ("http/1.1",)) if secure else tcp
            return await round_trip(stream, "GET", parts)
    except StepFailed as failed:
        if failed.operation != "http_round_trip":  # that step has recorded itself
            record_unsent(session, "GET", url, failed.failure)
        raise


def record_unsent(session: ProbeSession, method: str, url: str, failure: str) -> None:
    """Records a request that was never sent, with the failure of the step before it, as OONI does."""
    trace = session.trace
    trace.requested(trace.now(), method=method, url=url, headers=(), failure=failure, transaction=trace.transaction())


async def round_trip(stream: TcpStream, method: str, parts: SplitResult, accept: str = PAGES) -> Response:
    """Sends one request and reads its response; each wait has the session's timeout. Raises `StepFailed`."""
    session, trace = stream.session, stream.session.trace
    started, headers = trace.now(), request_headers(parts, accept)
    if method == "POST":
        headers.append(("Content-Length", "0"))
    response, failure = Response(0, (), b""), None
    try:
        async with patience(_WHOLE * session.patience):
            response = await _exchange(stream, h11.Request(method=method, target=target_of(parts), headers=headers))
    except h11.RemoteProtocolError as error:
        failure = f"unknown_failure: malformed HTTP response: {error}"
    except (OSError, EOFError) as error:
        failure = failure_of(error)
    trace.requested(
        started,
        method=method,
        url=parts.geturl(),
        headers=headers,
        failure=failure,
        transaction=stream.transaction,
        address=stream.address,
        alpn=stream.alpn,
        code=response.code,
        response_headers=response.headers,
        body=response.body,
        truncated=response.truncated,
    )
    if failure is not None:
        raise StepFailed(failure, "http_round_trip")
    return response


async def _exchange(stream: TcpStream, request: h11.Request) -> Response:
    connection = h11.Connection(h11.CLIENT)
    await stream.send((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    head: h11.Response | None = None
    body = bytearray()
    closed = False
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            if closed:
                raise EOFError("closed in the middle of a response") from error
            raise
        if event is h11.NEED_DATA:
            async with patience(stream.session.patience):
                data = await stream.receive()
            closed = not data
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        if head is not None and (isinstance(event, h11.EndOfMessage) or len(body) >= _MAX_BODY):
            listed = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
            return Response(head.status_code, listed, bytes(body), not isinstance(event, h11.EndOfMessage))
