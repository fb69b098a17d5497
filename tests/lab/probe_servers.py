"""Servers for the probes' lab test, some of them broken in one way each. Run as a program inside a namespace:

    python probe_servers.py DIRECTORY IPV4 IPV6

Writes DIRECTORY/ca.pem and prints `ready` when all of them listen.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trustme
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

HTTPS, EXPIRED, UNTRUSTED, MISNAMED, NOT_TLS, CLOSES, RESETS, MUTE, HTTP, HTTP3, OLD_QUIC, OTHER, SLOW, FROZEN = (
    443, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 80, 443, 4008, 5222, 4009, 4010
)  # fmt: skip
PAGE = b"<title>site.test</title>" + b"." * 300_000
RCODES = {
    "nxdomain.test.": dns.rcode.NXDOMAIN,
    "refused.test.": dns.rcode.REFUSED,
    "servfail.test.": dns.rcode.SERVFAIL,
    "formerr.test.": dns.rcode.FORMERR,
}


class Resolver(asyncio.DatagramProtocol):
    """Every name leads here, but for a few."""

    def __init__(self, ipv4: str, ipv6: str) -> None:
        self.addresses = {dns.rdatatype.A: ipv4, dns.rdatatype.AAAA: ipv6}
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        self.transport.sendto(self.answer(data, udp=True), addr)

    async def over_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        answer = self.answer(query, udp=False)
        writer.write(len(answer).to_bytes(2) + answer)
        await writer.drain()
        writer.close()

    def answer(self, data: bytes, udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text()
        response = dns.message.make_response(query)
        response.set_rcode(RCODES.get(name, dns.rcode.NOERROR))
        if name == "long.test." and udp:
            response.flags |= dns.flags.TC
        elif name not in RCODES and name != "empty.test.":
            addresses = [self.addresses[question.rdtype]]
            if name == "bogon.test.":
                addresses = [{dns.rdatatype.A: "10.10.34.35", dns.rdatatype.AAAA: "fd00::1"}[question.rdtype]]
            elif name in {"poisoned.test.", "half-gone.test."}:  # nobody is there
                gone = {dns.rdatatype.A: "192.0.2.99", dns.rdatatype.AAAA: "2001:db8:a::99"}[question.rdtype]
                addresses = [gone] if name == "poisoned.test." else [gone, *addresses]
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype.name, *addresses))
        return response.to_wire()


class OldQuic(asyncio.DatagramProtocol):
    """Knows only a version that nobody speaks any more (RFC 9000 §17.2.1)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        to_id_end = 6 + data[5]
        destination, source = data[5:to_id_end], data[to_id_end : to_id_end + 1 + data[to_id_end]]
        self.transport.sendto(b"\xc0\0\0\0\0" + source + destination + struct.pack("!I", 0xFF00001B), addr)


class Http3Site(QuicConnectionProtocol):
    http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        for happened in self.http.handle_event(event) if self.http else ():
            if isinstance(happened, HeadersReceived) and self.http is not None:
                self.http.send_headers(happened.stream_id, [(b":status", b"200")])
                self.http.send_data(happened.stream_id, PAGE[:2000], end_stream=True)
                self.transmit()


async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        body, status = PAGE, b"200 OK"
        if b" /blockpage " in head:
            body = b"<title>This site is blocked</title>"
        elif b" /forbidden " in head:
            status = b"451 Unavailable For Legal Reasons"
        elif b" /moved " in head:
            status = b"302 Found\r\nLocation: /"
        elif b" /small " in head:
            body = b"small"
        elif head.startswith(b"POST"):
            status = b"501 Not Implemented"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await reader.read()
    writer.close()


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write_eof()
    await reader.read()
    writer.close()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def freezes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As behind a box that lets 16 KiB of a connection through."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE[: 16 << 10])
    await writer.drain()
    await reader.read()
    writer.close()


def context_for(authority: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC) if expired else None
    authority.issue_cert(*names, not_after=past).configure_cert(context)
    return context


async def main(directory: Path, ipv4: str, ipv6: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    names = ["site.test", "*.whatsapp.net", "*.whatsapp.com", "*.telegram.org", "*.signal.org", "*.voip.signal.org"]
    good = authority.issue_cert(*names, ipv4, ipv6)
    (directory / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in good.cert_chain_pems))
    good.private_key_pem.write_to_path(directory / "key.pem")
    https = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    good.configure_cert(https)
    tls: dict[int, ssl.SSLContext] = {
        HTTPS: https,
        SLOW: https,
        EXPIRED: context_for(authority, "site.test", expired=True),
        UNTRUSTED: context_for(stranger, "site.test"),
        MISNAMED: context_for(authority, "elsewhere.example"),
    }
    loop = asyncio.get_running_loop()
    resolver = Resolver(ipv4, ipv6)
    quic = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    quic.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    plain: dict[int, Callable[..., object]] = {
        53: resolver.over_tcp, HTTP: web, NOT_TLS: not_tls, CLOSES: closes, RESETS: resets, MUTE: mute, OTHER: mute,
        FROZEN: freezes,
    }  # fmt: skip
    # The filtered addresses are this host's too.
    for address in (ipv4, ipv6):
        await loop.create_datagram_endpoint(lambda: Resolver(ipv4, ipv6), local_addr=(address, 53))
        await loop.create_datagram_endpoint(OldQuic, local_addr=(address, OLD_QUIC))
        await serve(address, HTTP3, configuration=quic, create_protocol=Http3Site)
    # The filtered addresses are this host's too.
    for port, context in tls.items():
        await asyncio.start_server(web, None, port, ssl=context)
    for port, handler in plain.items():
        await asyncio.start_server(handler, None, port)  # type: ignore[arg-type]
    authority.cert_pem.write_to_path(directory / "ca.pem")
    os.write(1, b"ready\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
