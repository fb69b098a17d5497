"""Single steps as tests of their own: dns, tcp, tls and ping."""

from __future__ import annotations

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.dns import locate, lookup
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.kinds import Destination, Echoes, NameQuestion
from shutdownlab.probes.ping import ping
from shutdownlab.probes.secure_dns import lookup_securely
from shutdownlab.probes.session import ProbeSession
from shutdownlab.probes.stream import connect, handshake


async def dns_test(session: ProbeSession, ask: NameQuestion) -> Conclusion:
    """Blocked if the resolver cannot be asked, or answers with no address, a bogon, or none of the true addresses."""
    if ask.secure_resolver:
        answer = await lookup_securely(session, ask.host, ask.secure_resolver)
    else:
        answer = await lookup(session, ask.host)
    if answer.is_bogon:
        raise StepFailed("dns_bogon_error", "resolve")
    consistent = answer.agrees_with(session.request.addresses)
    session.trace.extra["dns_consistency"] = "consistent" if consistent else "inconsistent"
    return Conclusion(Outcome.OK if consistent else Outcome.BLOCKED)


async def tcp_test(session: ProbeSession, ask: Destination) -> Conclusion:
    """Blocked if no connection can be made."""
    with await connect(session, await locate(session, ask.host), ask.port):
        return Conclusion(Outcome.OK)


async def tls_test(session: ProbeSession, ask: Destination) -> Conclusion:
    """Blocked if the handshake fails or the certificate is not the site's."""
    with await connect(session, await locate(session, ask.host), ask.port) as tcp:
        await handshake(tcp, ask.host)
    return Conclusion(Outcome.OK)


async def ping_test(session: ProbeSession, ask: Echoes) -> Conclusion:
    """Blocked if too few replies come, or a connection after them fails."""
    address = await locate(session, ask.host)
    seconds = await ping(session, address, count=ask.count, needed=ask.answered)
    if ask.then:
        with await connect(session, address, ask.then):
            pass
    return Conclusion(Outcome.OK, value=round(seconds * 1000, 3), unit="ms")
