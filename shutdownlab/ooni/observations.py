"""The verdict of web_connectivity 0.5.27 and later: observations are sorted, and the first conclusive one decides.

They are sorted from the last redirect and the furthest step on, with successes before failures. Only the system
resolver's lookups and their addresses are used, as in 0.4. Sources: probe-cli, internal/experiment/webconnectivitylte,
`analysisclassic.go`; internal/minipipeline: `observation.go`, `classic.go`, `analysis.go`, `dnsdiff.go`, `httpdiff.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from shutdownlab.ooni.addresses import KnownNetworks, only_loopback
from shutdownlab.ooni.pages import PageMatch, match_observations
from shutdownlab.ooni.records import ControlRecord, ControlStep, Keys, QueryRecord, ResponseRecord, host_of, named
from shutdownlab.ooni.summary import CONSISTENT, INCONSISTENT, NETWORKS_MISSING
from shutdownlab.ooni.verdict import OoniVerdict, SiteVerdict, web_verdict

_NOT_SAID: Final = object()


class Reached(IntEnum):
    """The furthest step that an observation reached."""

    LOOKUP = 0
    CONNECT = 1
    HANDSHAKE = 2
    PAGE = 3


@dataclass(slots=True)
class _Observation:
    """A lookup, or the attempt to fetch the page from one address.

    `theirs`: the control's failure at the same step; None if it succeeded, `_NOT_SAID` if the control doesn't have it.
    """

    depth: int
    reached: Reached
    failure: str | None
    transaction: int
    theirs: object = _NOT_SAID
    secure: bool = False
    response: ResponseRecord | None = None
    query: QueryRecord | None = None
    endpoint: str = ""
    server_name: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether it got a page that isn't a redirect."""
        return self.response is not None and (self.response.code or 0) // 100 in {2, 4, 5}

    @property
    def rank(self) -> tuple[int, int, str, int]:
        return -self.depth, -self.reached, self.failure or "", -self.transaction


def judge_observations(url: str, keys: Keys, claimed_consistency: object) -> OoniVerdict:
    """Judges a website. `claimed_consistency`: the file's `dns_consistency`, used if the ASes needed are missing."""
    control = keys.control
    domain = host_of((keys.x_control_request and keys.x_control_request.http_request) or url)
    system = [query for query in keys.queries or () if query.by_system]
    consistency, reason, assumed = _consistency(keys, system, domain, claimed_consistency)
    dns_failure = next((f for q in system if q.depth == 0 and not q.no_aaaa and (f := named(q.failure))), None)
    line = sorted((*_lookups(system, domain, control), *_endpoints(keys, system, control)), key=lambda each: each.rank)
    concluded, http_failure = _first_that_tells(line, control, consistency)
    why = {
        "dns_consistency": reason,
        "dns_experiment_failure": "of the system resolver's first lookup that failed",
        "http_experiment_failure": concluded.why,
    }
    verdict = web_verdict(concluded, consistency, dns_failure, http_failure, why)
    if assumed:
        verdict.assumed["dns_consistency"] = reason
    return verdict


# -- DNS --------------------------------------------------------------------------------------------------------------


def _consistency(keys: Keys, system: list[QueryRecord], domain: str, claimed: object) -> tuple[str | None, str, bool]:
    """Returns the consistency of the system resolver's answers with the test helper's, the reason, and whether it was
    copied from the file.
    """
    control, first = keys.control, [query for query in system if query.depth == 0]
    networks = KnownNetworks(keys.queries or (), control)
    good, bad, unknown, answered = "", "", False, False
    for query in first:
        own = control is not None and query.hostname == domain
        theirs_failed = named(control.dns.failure) if control is not None else None
        failure = named(query.failure)
        if failure:
            if query.no_aaaa or not own or control is None:
                continue
            if theirs_failed or (failure == "dns_no_answer" and not control.addresses):
                good = good or f"a lookup failed by {failure}, and the test helper's as well"
            else:
                bad = bad or f"a lookup failed by {failure}, the test helper's did not"
            continue
        answered = answered or bool(query.addresses)
        if not query.addresses or not own or control is None or theirs_failed:
            continue
        common = networks.common(query.addresses, control.addresses)
        if common or set(query.addresses) & set(control.addresses):
            good = good or "an answer has an address or an AS in common with the test helper's answers"
        elif common is None and claimed in (CONSISTENT, INCONSISTENT):
            unknown = True
        else:
            bad = bad or "no answer has an address or an AS in common with the test helper's answers"
    if bad:
        return INCONSISTENT, bad, False
    if unknown:
        return str(claimed), NETWORKS_MISSING, True
    if good:
        return CONSISTENT, good, False
    if answered and control is not None and not control.addresses:
        return INCONSISTENT, "lookups are answered, the test helper's were not", False
    return None, "nothing to compare with", False


def _lookups(system: Iterable[QueryRecord], domain: str, control: ControlRecord | None) -> Iterator[_Observation]:
    for query in system:
        failure = named(query.failure)
        if failure is None and not query.addresses:
            continue
        control_failure: object = _NOT_SAID
        if control is not None and query.hostname == domain:
            control_failure = named(control.dns.failure)
        depth = -1 if query.depth is None else query.depth
        yield _Observation(depth, Reached.LOOKUP, failure, query.transaction_id or 0, control_failure, query=query)


# -- TCP, TLS, HTTP ---------------------------------------------------------------------------------------------------


def _endpoints(keys: Keys, system: Iterable[QueryRecord], control: ControlRecord | None) -> Iterable[_Observation]:
    """Returns the attempts to fetch the page from the system resolver's addresses, one observation per transaction."""
    known = {address for query in system if not named(query.failure) for address in query.addresses}
    found: dict[int, _Observation] = {}
    for connect in keys.tcp_connect or ():
        if connect.ip in known and connect.fetches_body:
            transaction, depth = connect.transaction_id or 0, -1 if connect.depth is None else connect.depth
            found[transaction] = _Observation(
                depth, Reached.CONNECT, connect.broken, transaction, endpoint=connect.endpoint
            )
    for handshake in keys.tls_handshakes or ():
        if seen := found.get(handshake.transaction_id or 0):
            seen.reached, seen.failure = Reached.HANDSHAKE, named(handshake.failure)
            seen.secure, seen.server_name = seen.failure is None, handshake.server_name
    for request in keys.requests or ():
        if seen := found.get(request.transaction_id or 0):
            seen.reached, seen.failure = Reached.PAGE, named(request.failure)
            seen.response = request.response if seen.failure is None else None
    for seen in found.values():
        seen.theirs = _control_of(seen, control)
    return found.values()


def _control_of(seen: _Observation, control: ControlRecord | None) -> object:
    if control is None:
        return _NOT_SAID
    if seen.reached is Reached.PAGE:
        return named(control.http_request.failure)
    steps = control.tcp_connect if seen.reached is Reached.CONNECT else control.tls_handshake
    found: ControlStep | None = (steps or {}).get(seen.endpoint)
    if found is None or (seen.reached is Reached.HANDSHAKE and found.server_name != seen.server_name):
        return _NOT_SAID
    return named(found.failure)


# -- the first conclusive observation ---------------------------------------------------------------------------------


def _first_that_tells(
    line: Iterable[_Observation], control: ControlRecord | None, consistency: str | None
) -> tuple[SiteVerdict, str | None]:
    """Returns the verdict of the first conclusive observation, and `http_experiment_failure`."""
    for seen in line:
        if seen.is_final:
            return _weighed(_of_page(seen, control), consistency), None
        if seen.failure:
            if seen.query and seen.theirs is None and control is not None and not control.addresses:
                return _weighed(_down("neither side found an address"), consistency), None
            return _weighed(_of_failure(seen, control), consistency), seen.failure
        if seen.query and (concluded := _of_loopback(seen, control)):
            return _weighed(concluded, consistency), None
    return SiteVerdict(None, None, "no observation tells"), None


def _of_page(seen: _Observation, control: ControlRecord | None) -> SiteVerdict:
    if seen.secure:
        return SiteVerdict(False, True, "the last page came over TLS")
    if control is None:
        return SiteVerdict(None, None, "a page came, but the test helper could not be asked")
    if named(control.http_request.failure):
        match = PageMatch(None, None, None, None)
    else:
        match = match_observations(seen.response or ResponseRecord(), control.http_request)
    if match.same:
        return SiteVerdict(False, True, f"the page is the test helper's: {match}")
    return SiteVerdict("http-diff", False, f"the page is not the test helper's: {match}")


_BLOCKING: Final = {
    Reached.LOOKUP: "dns",
    Reached.CONNECT: "tcp_ip",
    Reached.HANDSHAKE: "http-failure",
    Reached.PAGE: "http-failure",
}
_NAMES: Final = {
    Reached.LOOKUP: "the lookup",
    Reached.CONNECT: "the connect",
    Reached.HANDSHAKE: "the TLS handshake",
    Reached.PAGE: "the request",
}


def _of_failure(seen: _Observation, control: ControlRecord | None) -> SiteVerdict:
    what = f"{_NAMES[seen.reached]} failed by {seen.failure}"
    if isinstance(seen.theirs, str):
        return _down(f"{what}, and the test helper's as well")
    if seen.theirs is None:
        return SiteVerdict(_BLOCKING[seen.reached], False, f"{what}, the test helper's did not")
    if control is None:
        lost = SiteVerdict(None, None, f"{what}, and the test helper could not be asked")
        return SiteVerdict(False, True, lost.why) if seen.reached is Reached.LOOKUP else lost
    blocking = "dns" if seen.reached is Reached.LOOKUP else "http-failure"
    return SiteVerdict(blocking, False, f"{what}, after a redirect or of another server than the test helper's")


def _of_loopback(seen: _Observation, control: ControlRecord | None) -> SiteVerdict | None:
    """Judges a lookup answered with loopback addresses only, to which the probe doesn't connect; None for others."""
    if seen.theirs is not None or control is None or seen.query is None or not only_loopback(seen.query.addresses):
        return None
    if only_loopback(control.addresses):
        return _down("both sides are answered with loopback addresses only")
    return SiteVerdict("dns", False, "only loopback addresses were answered, and others to the test helper")


def _down(why: str) -> SiteVerdict:
    return SiteVerdict(False, False, f"{why}: the site is down")


def _weighed(concluded: SiteVerdict, consistency: str | None) -> SiteVerdict:
    """Attributes a site that isn't accessible to DNS blocking if DNS is inconsistent."""
    if concluded.accessible is True or consistency != INCONSISTENT:
        return concluded
    return SiteVerdict("dns", False, f"{concluded.why}; DNS is inconsistent")
