"""The HTTP/3 server of all sites on one node. Usage: `http3_server.py DIRECTORY`.

DIRECTORY/sites.json lists the sockets and their pages. It imports none of our modules, so that it starts quickly.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

_DOWNLOAD = "/bytes/"
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of a socket: pages by host name, and the sizes (bytes) of its downloads."""

    pages: Mapping[str, bytes]
    downloads: tuple[int, ...]

    def answer(self, path: str, host: str) -> tuple[int, bytes, int, Iterator[bytes]]:
        """Returns the status, media type, length in bytes and blocks of the body."""
        if path.startswith(_DOWNLOAD):
            wanted = path.removeprefix(_DOWNLOAD)
            size = next((size for size in self.downloads if str(size) == wanted), None)
            if size is None:
                return 404, b"text/plain", 0, iter(())
            return 200, b"application/octet-stream", size, _zeros(size)
        text = self.pages.get(host) or next(iter(self.pages.values()))
        return 200, b"text/html", len(text), iter((text,))


class _Site(QuicConnectionProtocol):
    """One client's connection."""

    def __init__(self, *args: Any, content: _Content, **options: Any) -> None:
        super().__init__(*args, **options)
        self._content = content
        self._http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for happened in self._http.handle_event(event):
            if isinstance(happened, HeadersReceived):
                self._answer(happened.stream_id, dict(happened.headers))

    def _answer(self, stream: int, request: dict[bytes, bytes]) -> None:
        assert self._http is not None
        path, host = (request.get(key, b"").decode("ascii", "replace") for key in (b":path", b":authority"))
        status, kind, size, blocks = self._content.answer(path, host.rsplit(":", 1)[0])
        headers = [
            (b":status", str(status).encode()),
            (b"content-type", kind),
            (b"content-length", str(size).encode()),
            (b"server", b"aioquic"),
        ]
        empty = request.get(b":method") == b"HEAD" or size == 0
        self._http.send_headers(stream, headers, end_stream=empty)
        if not empty:
            sent = 0
            for block in blocks:
                sent += len(block)
                self._http.send_data(stream, block, end_stream=sent == size)
        self.transmit()


def _zeros(size: int) -> Iterator[bytes]:
    for at in range(0, size, _BLOCK):
        yield bytes(min(_BLOCK, size - at))


async def _serve(directory: Path) -> None:
    sites = json.loads((directory / "sites.json").read_text())
    for socket in sites["sockets"]:
        configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        certificate = socket["certificate"]
        configuration.load_cert_chain(directory / f"{certificate}.pem", directory / f"{certificate}.key")
        pages = {name: text.encode() for name, text in socket["pages"].items()}
        create = partial(_Site, content=_Content(pages, tuple(sites["downloads"])))
        await serve(socket["address"], socket["port"], configuration=configuration, create_protocol=create)
    gc.freeze()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
