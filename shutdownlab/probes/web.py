"""Single steps and whole web pages: dns, tcp, tls, ping, web and http3."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes import http3
from shutdownlab.probes.dns import locate, lookup
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.http import Response, fetch
from shutdownlab.probes.ping import ping
from shutdownlab.probes.secure_dns import lookup_securely
from shutdownlab.probes.session import Session
from shutdownlab.probes.stream import connect, handshake
from shutdownlab.probes.verdict import Verdict


async def dns_test(session: Session) -> Verdict:
    """Blocked when the resolver gives no address, a bogon, or none of the true ones, or cannot be asked."""
    ask = lookup_securely if session.request.secure_resolver else lookup
    answer = await ask(session, session.request.host)
    if answer.is_bogon:
        raise StepFailed("dns_bogon_error", "resolve")
    consistent = answer.agrees_with(session.request.addresses)
    session.trace.extra["dns_consistency"] = "consistent" if consistent else "inconsistent"
    return Verdict(Outcome.OK if consistent else Outcome.BLOCKED)


async def tcp_test(session: Session) -> Verdict:
    """Blocked when no connection comes about."""
    with await connect(session, await locate(session), session.request.port):
        return Verdict(Outcome.OK)


async def tls_test(session: Session) -> Verdict:
    """Blocked when the handshake fails or the certificate is not the site's."""
    with await connect(session, await locate(session), session.request.port) as tcp:
        await handshake(tcp, session.request.host)
    return Verdict(Outcome.OK)


async def ping_test(session: Session) -> Verdict:
    await ping(session, await locate(session))
    return Verdict(Outcome.OK)


async def web_test(session: Session) -> Verdict:
    """OONI's web_connectivity, with what the topology knows of the site in place of the test helper's view.

    The verdict follows the order of probe-cli's `webconnectivity/summary.go`.
    """
    return await _page(session, fetch)


async def http3_test(session: Session) -> Verdict:
    """As `web_test`, over QUIC."""
    return await _page(session, http3.fetch)


async def _page(session: Session, get: Callable[[Session, str], Awaitable[Response]]) -> Verdict:
    extra = session.trace.extra
    try:
        response = await get(session, session.request.url)
    except StepFailed as failed:
        consistent = dns_consistent(session)
        blocking = blocking_of(failed, consistent)
        extra |= {"dns_consistency": "consistent" if consistent else "inconsistent"}
        extra |= {"blocking": blocking, "accessible": False, "http_experiment_failure": failed.failure}
        if failed.operation == "resolve":
            extra["dns_experiment_failure"] = failed.failure
        raise
    genuine = is_genuine(response, session)
    extra |= {"dns_consistency": "consistent" if dns_consistent(session) else "inconsistent"}
    extra |= {"http_experiment_failure": None, "accessible": genuine}
    secure = session.trace.requests[0]["request"]["url"].startswith("https:")
    blocking = "http-diff" if secure or dns_consistent(session) else "dns"
    extra["blocking"] = False if genuine else blocking
    return Verdict(Outcome.OK if genuine else Outcome.BLOCKED)


def is_genuine(response: Response, session: Session) -> bool:
    return response.is_fine and session.request.marker.encode() in response.body


def dns_consistent(session: Session) -> bool:
    """Whether a question was answered with at least one true address; true where none was asked.

    NXDOMAIN and the like are inconsistent: the sites of the lab exist.
    """
    if not session.trace.queries:
        return True
    answers = session.trace.queries[0]["answers"] or ()
    seen = {answer.get("ipv4") or answer.get("ipv6") for answer in answers}
    return bool(seen) and (not session.request.addresses or not seen.isdisjoint(session.request.addresses))


def blocking_of(failed: StepFailed, consistent: bool) -> str:
    """OONI's `blocking` for the step that failed; TLS blocking is `http-failure` there."""
    if failed.operation == "resolve":
        return "dns"
    if failed.operation == "connect":
        return "tcp_ip" if consistent else "dns"
    return "http-failure" if consistent else "dns"
