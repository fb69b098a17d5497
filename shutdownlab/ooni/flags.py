"""The verdict of web_connectivity 0.5.0 to 0.5.26: observations raise flags, and the one with most weight decides.

Sources: probe-cli, internal/experiment/webconnectivitylte: `analysiscore.go` (`analysisToplevel`), `analysisdns.go`,
`analysistcpip.go`, `analysistls.go`, `analysishttpcore.go`, `analysishttpdiff.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from shutdownlab.ooni.addresses import KnownNetworks, is_address, is_bogon
from shutdownlab.ooni.pages import match_flags
from shutdownlab.ooni.records import ControlRecord, Keys, QueryRecord, RequestRecord, ResponseRecord, host_of, named
from shutdownlab.ooni.summary import CONSISTENT, INCONSISTENT, NETWORKS_MISSING
from shutdownlab.ooni.verdict import OoniVerdict, SiteVerdict, web_verdict

_GOOD_CODES = frozenset({200, 301, 302, 307, 308})


@dataclass(frozen=True, slots=True)
class _Asked:
    """The domain that the test helper was asked for, and its answer, or None."""

    domain: str
    control: ControlRecord | None


def judge_flags(url: str, keys: Keys, claimed_consistency: object) -> OoniVerdict:
    """Judges a website. `claimed_consistency`: the file's `dns_consistency`, used if the ASes needed are missing."""
    request = keys.x_control_request
    asked = _Asked(host_of((request and request.http_request) or url), keys.control)
    dns_failure = _dns_failure(keys)
    http_failure = named(keys.requests[0].failure) if keys.requests else None
    dns = list(_dns_flags(keys, asked))
    undecided = None if dns else _undecided(keys, asked)
    if undecided is not None and claimed_consistency == INCONSISTENT:
        dns.append(undecided)
    concluded = _concluded(keys, asked, dns)
    why = {
        "dns_consistency": "; ".join(dns) or undecided or "no lookup raised a flag",
        "dns_experiment_failure": "of the first lookup that failed, but for DNS over HTTPS",
        "http_experiment_failure": "of the last request",
    }
    verdict = web_verdict(concluded, INCONSISTENT if dns else CONSISTENT, dns_failure, http_failure, why)
    if undecided:
        verdict.assumed["dns_consistency"] = undecided
    return verdict


def _concluded(keys: Keys, asked: _Asked, dns: list[str]) -> SiteVerdict:
    if dns:
        return SiteVerdict("dns", False, dns[0])
    if why := _tcp_flag(keys, asked.control):
        return SiteVerdict("tcp_ip", False, why)
    if why := _tls_flag(keys, asked.control):
        return SiteVerdict("http-failure", False, why)
    page = _page_flag(keys, asked.control)
    return page or _without_flags(keys, asked.control)


# -- DNS --------------------------------------------------------------------------------------------------------------


def _dns_failure(keys: Keys) -> str | None:
    """Returns the first failure of a lookup. DNS over HTTPS is left out: its failures say nothing about the site
    (https://github.com/ooni/probe/issues/2274).
    """
    for query in keys.queries or ():
        if (failure := named(query.failure)) and not query.no_aaaa and query.engine != "doh":
            return failure
    return None


def _dns_flags(keys: Keys, asked: _Asked) -> Iterator[str]:
    queries = keys.queries or []
    answers = [address for query in queries for address in query.addresses]
    if bogon := next((each for each in answers if is_address(each) and is_bogon(each)), None):
        yield f"{bogon} is no address of the Internet"
    control = asked.control
    if control is None or is_address(asked.domain) or not control.addresses:
        return
    own = [query for query in queries if query.hostname == asked.domain]
    for query in own:
        failure = named(query.failure)
        if failure and query.engine != "doh" and not query.no_aaaa and not query.addresses:
            yield f"a lookup failed by {failure}, the test helper's did not"
            break
    found = [address for query in own for address in query.addresses]
    if not found:
        yield "no lookup gave an address, the test helper's did"
    elif (strange := _strange(keys, asked.domain, own, control)) and isinstance(strange, str):
        yield f"{strange} is in no AS of the test helper's answers, and no TLS handshake confirms it"


def _undecided(keys: Keys, asked: _Asked) -> str | None:
    """Returns a message if the file lacks the AS numbers that decide the verdict, else None."""
    control = asked.control
    if control is None or is_address(asked.domain) or not control.addresses:
        return None
    own = [query for query in keys.queries or () if query.hostname == asked.domain]
    if _strange(keys, asked.domain, own, control) is None:
        return NETWORKS_MISSING
    return None


def _strange(keys: Keys, domain: str, own: list[QueryRecord], control: ControlRecord) -> str | bool | None:
    """Returns an address that isn't in the test helper's answers or their ASes, and had no successful TLS handshake.

    False if there is none; None if the file lacks the AS numbers that decide.
    """
    control_addresses = set(control.addresses)
    confirmed = {
        (handshake.address or "").rpartition(":")[0].strip("[]")
        for handshake in keys.tls_handshakes or ()
        if not named(handshake.failure) and handshake.server_name == domain
    }
    unreachable = {connect.ip for connect in keys.tcp_connect or () if connect.without_ipv6}
    others = [
        address
        for query in own
        for address in query.addresses
        if not (address in control_addresses or address in confirmed or address in unreachable or is_bogon(address))
    ]
    networks = KnownNetworks(keys.queries or (), control)
    control_asns = {networks.asn(address) for address in control_addresses}
    strange = [address for address in others if networks.asn(address) not in control_asns]
    if not strange:
        return False
    return None if None in control_asns else strange[0]


# -- TCP, TLS, HTTP ---------------------------------------------------------------------------------------------------


def _tcp_flag(keys: Keys, control: ControlRecord | None) -> str | None:
    control_results = (control and control.tcp_connect) or {}
    for connect in keys.tcp_connect or ():
        found = control_results.get(connect.endpoint)
        if connect.broken and not connect.without_ipv6 and found is not None and not named(found.failure):
            return f"the connect to {connect.endpoint} failed by {connect.broken}, the test helper's did not"
    return None


def _tls_flag(keys: Keys, control: ControlRecord | None) -> str | None:
    control_results = (control and control.tls_handshake) or {}
    for handshake in keys.tls_handshakes or ():
        found, failure = control_results.get(handshake.address or ""), named(handshake.failure)
        if failure and found is not None and not named(found.failure):
            return f"the TLS handshake with {handshake.address} failed by {failure}, the test helper's did not"
    return None


def _page_flag(keys: Keys, control: ControlRecord | None) -> SiteVerdict | None:
    if not keys.requests or control is None or named(control.http_request.failure):
        return None
    last = keys.requests[0]
    if failure := named(last.failure):
        if failure in {"connection_reset", "generic_timeout_error", "eof_error"}:
            return SiteVerdict(
                "http-failure", False, f"the last request failed by {failure}, the test helper's did not"
            )
        return None
    if _scheme(last.url) == "https":
        return SiteVerdict(False, True, "the last page came over HTTPS")
    match = match_flags(last.response or ResponseRecord(), control.http_request)
    if match.same:
        return SiteVerdict(False, True, f"the page is the test helper's: {match}")
    return SiteVerdict("http-diff", False, f"the page is not the test helper's: {match}")


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


# -- without flags, and without a successful page ---------------------------------------------------------------------


def _without_flags(keys: Keys, control: ControlRecord | None) -> SiteVerdict:
    """Judges a measurement without flags. The order of the checks matters, as upstream notes."""
    if control is not None:
        if named(control.dns.failure) == "dns_name_error" and _only_answers(keys):
            why = "the test helper found no such name, but lookups here are answered"
            return SiteVerdict("dns", False, why)
        if _no_addresses(keys, control):
            return SiteVerdict(False, False, "neither side found an address: the site is down")
        if _all_connects_failed(keys, control):
            return SiteVerdict(False, False, "every connect failed on both sides: the site is down")
        if _all_handshakes_failed(keys, control):
            return SiteVerdict(
                False, False, "every TLS handshake failed alike on both sides: the site is misconfigured"
            )
    requests = keys.requests or []
    if requests and all(map(_came_securely, requests)):
        return SiteVerdict(False, True, "all pages came over HTTPS")
    return SiteVerdict(None, None, "no flag was raised, and no success seen")


def _came_securely(request: RequestRecord) -> bool:
    response = request.response or ResponseRecord()
    return _scheme(request.url) == "https" and not named(request.failure) and response.code in _GOOD_CODES


def _only_answers(keys: Keys) -> bool:
    """Whether lookups were answered, and none failed other than by dns_no_answer; without DNS over HTTPS
    (https://github.com/ooni/probe/issues/2308).
    """
    clear = [query for query in keys.queries or () if query.engine != "doh"]
    failures = [failure for query in clear if (failure := named(query.failure)) != "dns_no_answer"]
    return bool(failures) and not any(failures)


def _no_addresses(keys: Keys, control: ControlRecord) -> bool:
    """Whether neither side found an address (https://github.com/ooni/probe/issues/2290)."""
    tried = keys.tcp_connect or keys.tls_handshakes or any(query.answers for query in keys.queries or ())
    return not (tried or control.addresses or control.tcp_connect)


def _all_connects_failed(keys: Keys, control: ControlRecord) -> bool:
    """Whether all connects failed on both sides (https://github.com/ooni/probe/issues/2299)."""
    control_results = control.tcp_connect or {}
    return bool(keys.tcp_connect) and all(
        connect.broken and (found := control_results.get(connect.endpoint)) is not None and named(found.failure)
        for connect in keys.tcp_connect or ()
    )


def _all_handshakes_failed(keys: Keys, control: ControlRecord) -> bool:
    """Whether all TLS handshakes failed in the same way on both sides (https://github.com/ooni/probe/issues/2300)."""
    control_results = control.tls_handshake or {}
    return bool(keys.tls_handshakes) and all(
        named(each.failure)
        and (found := control_results.get(each.address or "")) is not None
        and named(found.failure) == named(each.failure)
        for each in keys.tls_handshakes or ()
    )
