"""A DNS over QUIC server (RFC 9250). Usage: `doq_server.py ADDRESS PORT CERTIFICATE KEY`.

It forwards each query to the resolver at port 53 of the same address. It imports none of our modules.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived

_PATIENCE_S = 5.0


class _Resolver(QuicConnectionProtocol):
    """One client's connection, with one query per stream, preceded by its length."""

    def __init__(self, *args: Any, upstream: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._upstream = upstream
        self._received: defaultdict[int, bytes] = defaultdict(bytes)
        self._answering = set[asyncio.Task[None]]()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._received[event.stream_id] += event.data
            if event.end_stream:
                self._start(self._answer(event.stream_id, self._received.pop(event.stream_id)[2:]))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, stream: int, wire: bytes) -> None:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return
        try:
            response = await dns.asyncquery.udp(query, self._upstream, _PATIENCE_S)
        except (dns.exception.DNSException, OSError):
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL)
        self._quic.send_stream_data(stream, response.to_wire(prepend_length=True), end_stream=True)
        self.transmit()


async def _serve(address: str, port: int, certificate: Path, key: Path) -> None:
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["doq"])
    configuration.load_cert_chain(certificate, key)
    await serve(address, port, configuration=configuration, create_protocol=partial(_Resolver, upstream=address))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
