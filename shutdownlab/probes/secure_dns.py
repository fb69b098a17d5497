"""Encrypted name lookups: DNS over TLS (RFC 7858) and over HTTPS (RFC 8484)."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import urlsplit

import dns.message

from shutdownlab.probes.answer import Answer
from shutdownlab.probes.dns import Question, lookup, resolve
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.http import round_trip
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import TcpStream, handshake, open_first

_PORTS: Final = {"tls": 853, "https": 443}
_ENGINES: Final = {"tls": "dot", "https": "doh"}
_MESSAGE: Final = "application/dns-message"


async def lookup_securely(session: ProbeSession, host: str, url: str) -> Answer:
    """Asks the resolver at `url`, whose own name the ordinary resolver looks up; raises `StepFailed`.

    Its operation is the step that failed: the lookup of the resolver's name, the connection, the handshake or the
    query.
    """
    return await resolve(session, host, url, _ENGINES[urlsplit(url).scheme], _ask)


async def _ask(session: ProbeSession, question: Question) -> dns.message.Message:
    parts = urlsplit(question.resolver)
    name = parts.hostname or ""
    addresses = (await lookup(session, name)).addresses
    with await open_first(session, addresses, parts.port or _PORTS[parts.scheme]) as tcp:
        if parts.scheme == "tls":
            return await _over_tls(await handshake(tcp, name), question.query)
        return await _over_https(await handshake(tcp, name, ("http/1.1",)), question)


async def _over_tls(stream: TcpStream, query: dns.message.Message) -> dns.message.Message:
    async with patience(stream.session.patience):
        await stream.send(query.to_wire(prepend_length=True))
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = await stream.receive()
            if not more:
                raise EOFError("the resolver closed the connection")
            data += more
        return dns.message.from_wire(data[2:])


async def _over_https(stream: TcpStream, question: Question) -> dns.message.Message:
    question.query.id = 0  # lets HTTP caches recognise the query (RFC 8484, section 4.1)
    asked = base64.urlsafe_b64encode(question.query.to_wire()).rstrip(b"=").decode()
    response = await round_trip(stream, "GET", urlsplit(f"{question.resolver}?dns={asked}"), accept=_MESSAGE)
    if response.code != 200 or response.header("content-type") != _MESSAGE:
        raise StepFailed("dns_server_misbehaving", "resolve")
    return dns.message.from_wire(response.body)
