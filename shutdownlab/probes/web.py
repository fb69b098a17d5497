"""Whole web pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shutdownlab.model.scenario import Outcome
from shutdownlab.probes.conclusion import Conclusion
from shutdownlab.probes.failure import StepFailed
from shutdownlab.probes.http import Response, fetch
from shutdownlab.probes.kinds import Page
from shutdownlab.probes.session import ProbeSession


async def web_test(session: ProbeSession, ask: Page) -> Conclusion:
    """OONI's web_connectivity; the topology's knowledge of the site replaces the test helper's view.

    The conclusion follows the order of probe-cli's `webconnectivity/summary.go`.
    """
    session.trace.extra |= {"control": control_of(session.request.addresses, ask.marker), "control_failure": None}
    return await page_test(session, ask, fetch)


def control_of(addresses: Sequence[str], marker: str) -> dict[str, Any]:
    """Returns what a test helper abroad would see of a working site, in OONI's form: its addresses and title.

    It is computed, not measured: it has no headers, no body and no steps towards the site.
    """
    title = marker.removeprefix("<title>").removesuffix("</title>")
    page: dict[str, Any] = {"failure": None, "status_code": 200, "body_length": -1, "title": title, "headers": {}}
    return {"dns": {"failure": None, "addrs": list(addresses)}, "tcp_connect": {}, "http_request": page}


async def page_test(
    session: ProbeSession, ask: Page, get: Callable[[ProbeSession, str], Awaitable[Response]]
) -> Conclusion:
    """Blocked if `get` cannot fetch the page, or the page is not the genuine one."""
    extra = session.trace.extra
    try:
        response = await get(session, ask.url)
    except StepFailed as failed:
        consistent = dns_consistent(session)
        blocking = blocking_of(failed, consistent)
        extra |= {"dns_consistency": "consistent" if consistent else "inconsistent"}
        extra |= {"blocking": blocking, "accessible": False, "http_experiment_failure": failed.failure}
        if failed.operation == "resolve":
            extra["dns_experiment_failure"] = failed.failure
        raise
    genuine = response.is_fine and ask.marker.encode() in response.body
    extra |= {"dns_consistency": "consistent" if dns_consistent(session) else "inconsistent"}
    extra |= {"http_experiment_failure": None, "accessible": genuine}
    secure = session.trace.requests[0]["request"]["url"].startswith("https:")
    blocking = "http-diff" if secure or dns_consistent(session) else "dns"
    extra["blocking"] = False if genuine else blocking
    return Conclusion(Outcome.OK if genuine else Outcome.BLOCKED)


def dns_consistent(session: ProbeSession) -> bool:
    """Whether a lookup was answered with at least one true address; True if there was no lookup.

    NXDOMAIN and the like are inconsistent, because the lab's sites exist.
    """
    if not session.trace.queries:
        return True
    answers = session.trace.queries[0]["answers"] or ()
    seen = {answer.get("ipv4") or answer.get("ipv6") for answer in answers}
    return bool(seen) and (not session.request.addresses or not seen.isdisjoint(session.request.addresses))


def blocking_of(failed: StepFailed, consistent: bool) -> str:
    """Returns OONI's `blocking` for the step that failed; TLS blocking is `http-failure` there."""
    if failed.operation == "resolve":
        return "dns"
    if failed.operation == "connect":
        return "tcp_ip" if consistent else "dns"
    return "http-failure" if consistent else "dns"
