"""Name lookups as a stub resolver does them: UDP, one retransmission, TCP if the answer is truncated."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from shutdownlab.config.addresses import endpoint, is_address
from shutdownlab.model.scenario import Family
from shutdownlab.probes.answer import Answer
from shutdownlab.probes.failure import TIMEOUT, StepFailed, failure_of
from shutdownlab.probes.patience import patience
from shutdownlab.probes.session import ProbeSession

_PORT: Final = 53
_FALSE: Final = "unknown_failure: the resolver gave a false address"
_UDP_PAYLOAD: Final = 1232
_RCODES: Final = {
    dns.rcode.NXDOMAIN: "dns_nxdomain_error",
    dns.rcode.REFUSED: "dns_refused_error",
    dns.rcode.SERVFAIL: "dns_servfail_error",
}


@dataclass(slots=True)
class Question:
    """A query under way. `resolver`: its destination; `engine`: its transport, as OONI names it."""

    query: dns.message.Message
    resolver: str
    engine: str


async def lookup(session: ProbeSession, host: str) -> Answer:
    """Asks the session's resolver for the A or AAAA addresses of `host`; an address is returned as it is.

    If the request does no lookups, the agent's known hosts are used. Raises `StepFailed`.
    """
    if not session.request.looks_up and not is_address(host):
        known = session.equipment.hosts.get(host, ())
        if addresses := tuple(each for each in known if (":" in each) == (session.family is Family.IPV6)):
            return Answer(addresses)
        raise StepFailed("dns_no_answer", "resolve")
    resolver = session.request.resolver
    return await resolve(session, host, endpoint(resolver, _PORT) if resolver else "", "udp", _ask)


async def resolve(
    session: ProbeSession,
    host: str,
    resolver: str,
    engine: str,
    ask: Callable[[ProbeSession, Question], Awaitable[dns.message.Message]],
) -> Answer:
    """Like `lookup`, with `ask` sending the query; if `ask` raises `StepFailed`, its operation is kept."""
    if is_address(host):
        return Answer((host,))
    kind, trace = _kind(session), session.trace
    transaction, started = trace.transaction(), trace.now()
    question = Question(_query(session, host), resolver, engine)
    response: dns.message.Message | None = None
    failure: str | None = None
    operation = "resolve"
    try:
        response = await ask(session, question)
    except StepFailed as failed:
        failure, operation = failed.failure, failed.operation
    except dns.exception.DNSException:
        failure = "dns_server_misbehaving"
    except (OSError, EOFError) as error:
        failure = failure_of(error)
    addresses = tuple(_addresses(response, kind)) if response else ()
    if response is not None and failure is None:
        failure = _failure(response, addresses)
    trace.query(
        started,
        hostname=host,
        query_type=kind.name,
        resolver=resolver,
        engine=question.engine,
        answers=[_record(kind, address, response) for address in addresses],
        rcode=int(response.rcode()) if response else None,
        failure=failure,
        transaction=transaction,
    )
    if failure is not None:
        raise StepFailed(failure, operation)
    return Answer(addresses)


async def lookup_failures(session: ProbeSession, hosts: Mapping[str, Collection[str]]) -> dict[str, str | None]:
    """Looks up many names at once over UDP, from one port; returns the failure of each, None if it has an address.

    hosts: the true addresses of each name; where they are known, one of them must be in the answer. A truncated answer
    counts as a success.
    """
    queries = {host: _query(session, host) for host in hosts}
    for number, query in enumerate(queries.values(), secrets.randbits(16)):
        query.id = number & 0xFFFF  # random ids could collide
    answers: dict[int, dns.message.Message] = {}
    missing = TIMEOUT
    try:
        async with patience(session.patience):
            await _ask_udp(session, list(queries.values()), answers)
    except dns.exception.DNSException:
        missing = "dns_server_misbehaving"
    except OSError as error:
        missing = failure_of(error)
    failures: dict[str, str | None] = {}
    for host, query in queries.items():
        response = answers.get(query.id)
        if response is None:
            failures[host] = missing
        elif response.flags & dns.flags.TC:
            failures[host] = None
        else:
            addresses = tuple(_addresses(response, _kind(session)))
            false = bool(hosts[host]) and not set(addresses) & set(hosts[host])
            failures[host] = _failure(response, addresses) or (_FALSE if false else None)
    return failures


async def locate(session: ProbeSession, host: str) -> str:
    """Returns the address of the probe's host: the known one, or the resolver's answer; raises `StepFailed`."""
    addresses = session.request.addresses
    return addresses[0] if addresses else (await lookup(session, host)).addresses[0]


def _family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _kind(session: ProbeSession) -> dns.rdatatype.RdataType:
    return dns.rdatatype.A if session.family is Family.IPV4 else dns.rdatatype.AAAA


def _query(session: ProbeSession, host: str) -> dns.message.Message:
    return dns.message.make_query(host, _kind(session), use_edns=0, payload=_UDP_PAYLOAD)


def _failure(response: dns.message.Message, addresses: tuple[str, ...]) -> str | None:
    rcode = response.rcode()
    if rcode != dns.rcode.NOERROR:
        return _RCODES.get(rcode, "dns_server_misbehaving")
    return None if addresses else "dns_no_answer"


async def _ask(session: ProbeSession, question: Question) -> dns.message.Message:
    if not question.resolver:
        raise StepFailed("network_unreachable", "resolve")
    async with patience(session.patience):
        answers: dict[int, dns.message.Message] = {}
        await _ask_udp(session, [question.query], answers)
        response = answers[question.query.id]
        if response.flags & dns.flags.TC:
            question.engine = "tcp"
            response = await _ask_tcp(session, question.query)
        return response


async def _ask_udp(
    session: ProbeSession, queries: Sequence[dns.message.Message], answers: dict[int, dns.message.Message]
) -> None:
    """Sends all queries, resends the unanswered ones after half the timeout, and fills `answers` by query id.

    The first answer to a query counts, forged or not, unless the client has given up by then (`gives_up`).
    """
    loop, resolver = session.loop, session.request.resolver
    begun, gives_up = loop.time(), session.request.gives_up
    waiting = {query.id: query for query in queries}
    with socket.socket(_family_of(resolver), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((resolver, _PORT))
        _send(sock, waiting)
        resend = loop.call_later(session.patience / 2, _send_again, sock, waiting)
        try:
            while waiting:
                data = await loop.sock_recv(sock, 65535)
                if gives_up and loop.time() - begun >= gives_up:
                    raise TimeoutError
                response = dns.message.from_wire(data, ignore_trailing=True)
                query = waiting.get(response.id)
                if query is not None and query.is_response(response):
                    answers[response.id] = response
                    del waiting[response.id]
        finally:
            resend.cancel()


def _send(sock: socket.socket, queries: Mapping[int, dns.message.Message]) -> None:
    for query in queries.values():
        sock.send(query.to_wire())


def _send_again(sock: socket.socket, queries: Mapping[int, dns.message.Message]) -> None:
    try:
        _send(sock, queries)
    except OSError:
        return  # an ICMP error: the receiver gets it too


async def _ask_tcp(session: ProbeSession, query: dns.message.Message) -> dns.message.Message:
    loop, resolver = session.loop, session.request.resolver
    with socket.socket(_family_of(resolver), socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        await loop.sock_connect(sock, (resolver, _PORT))
        await loop.sock_sendall(sock, query.to_wire(prepend_length=True))
        length = int.from_bytes(await _exactly(loop, sock, 2))
        return dns.message.from_wire(await _exactly(loop, sock, length))


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = await loop.sock_recv(sock, size - len(data))
        if not chunk:
            raise EOFError("the resolver closed the connection")
        data += chunk
    return data


def _addresses(response: dns.message.Message, kind: dns.rdatatype.RdataType) -> list[str]:
    return [rdata.address for rrset in response.answer if rrset.rdtype == kind for rdata in rrset]


def _record(
    kind: dns.rdatatype.RdataType, address: str, response: dns.message.Message | None
) -> dict[str, str | int | None]:
    ttl = response.answer[-1].ttl if response and response.answer else None
    family = "ipv4" if kind == dns.rdatatype.A else "ipv6"
    return {"answer_type": kind.name, family: address, "ttl": ttl}
