"""Encrypted DNS, to avoid lying resolvers: over TLS (RFC 7858), HTTPS (RFC 8484) and QUIC (RFC 9250)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dns.asyncquery
import dns.exception
import dns.message

from shutdownlab.model.scenario import Outcome
from shutdownlab.model.tool import ToolUse
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import Question, lookup, resolve
from shutdownlab.probes.failure import TIMEOUT, StepFailed
from shutdownlab.probes.secure_dns import lookup_securely
from shutdownlab.probes.session import ProbeSession
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.tls import Certificate
from shutdownlab.tools.serving import Outpost, ToolServer

_PROGRAM = Path(__file__).with_name("doq_server.py")
_CERTIFICATE, _KEY = "certificate.pem", "key.pem"
_QUIC_STEPS = 2  # the handshake and the query


async def dot_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Looks a name up by DNS over TLS; raises `StepFailed` if the resolver fails or gives a wrong address."""
    return await _looked_up(session, ask, f"tls://{ask.host}:{ask.port}")


async def doh_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Looks a name up by DNS over HTTPS; raises `StepFailed` if the resolver fails or gives a wrong address."""
    return await _looked_up(session, ask, f"https://{ask.host}:{ask.port}/dns-query")


class DnsOverQuicServers(ToolServer):
    """`doq_server.py` beside a resolver, to which it forwards queries: no resolver in Debian speaks QUIC."""

    kind = "doq"

    def serve(self, outpost: Outpost) -> Iterator[Daemon]:
        certificate: Certificate = outpost.premises.ca.issue(outpost.hosted.names, outpost.hosted.addresses)
        files: dict[str, str | bytes] = {_CERTIFICATE: certificate.chain, _KEY: certificate.key}
        argv = (sys.executable, str(_PROGRAM), str(outpost.address), str(outpost.port), _CERTIFICATE, _KEY)
        environment = {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
        sockets = outpost.listening("udp")
        yield Daemon("doq", outpost.node, argv, outpost.home, files, sockets, environment=environment)


async def doq_test(session: ProbeSession, ask: ToolUse) -> Conclusion:
    """Looks a name up by DNS over QUIC; raises `StepFailed` if the resolver fails or gives a wrong address."""
    return await _looked_up(session, ask, f"quic://{ask.host}:{ask.port}")


async def _looked_up(session: ProbeSession, ask: ToolUse, resolver: str) -> Conclusion:
    began, name = session.loop.time(), urlsplit(ask.url).hostname or ""
    record: dict[str, object] = {"tool": ask.tool, "name": session.request.name, "stage": "connect"}
    session.trace.extra["x_tool"] = record
    if resolver.startswith("quic:"):
        answer = await resolve(session, name, resolver, "doq", _over_quic)
    else:
        answer = await lookup_securely(session, name, resolver)
    if not answer.agrees_with((ask.site,)):
        raise StepFailed("dns_bogon_error" if answer.is_bogon else "dns_server_misbehaving", "resolve")
    connected = round((session.loop.time() - began) * 1000, 1)
    record |= {"stage": "done", "connect_ms": connected}
    return Conclusion(Outcome.OK, value=connected, unit="ms")


async def _over_quic(session: ProbeSession, question: Question) -> dns.message.Message:
    parts = urlsplit(question.resolver)
    host, port = parts.hostname or "", parts.port or 853
    address = (await lookup(session, host)).addresses[0]
    question.query.id = 0  # RFC 9250, section 4.2.1
    try:
        return await dns.asyncquery.quic(
            question.query,
            address,
            _QUIC_STEPS * session.patience,
            port,
            verify=session.request.ca,
            server_hostname=host,
        )
    except dns.exception.Timeout as error:
        raise StepFailed(TIMEOUT, "quic_handshake") from error
    except (dns.exception.DNSException, ConnectionError) as error:
        raise StepFailed(f"unknown_failure: {type(error).__name__}: {error}", "quic_handshake") from error
