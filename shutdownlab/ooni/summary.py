"""The verdict of web_connectivity 0.4: a fixed sequence of checks on a single pass over the site.

Sources: probe-cli, internal/experiment/webconnectivity: `summary.go` (`Summarize`), `dnsanalysis.go` (`DNSAnalysis`),
`httpanalysis.go`; ooni/spec, nettests/ts-017-web-connectivity.md.
"""

from __future__ import annotations

from typing import Final

from shutdownlab.ooni.addresses import KnownNetworks, is_address
from shutdownlab.ooni.pages import PageMatch, match_v04
from shutdownlab.ooni.records import Keys, QueryRecord, ResponseRecord, host_of, named
from shutdownlab.ooni.verdict import OoniVerdict, SiteVerdict, web_verdict

CONSISTENT, INCONSISTENT = "consistent", "inconsistent"
NETWORKS_MISSING = "the file does not give the AS of every address that the test helper was answered with"
_NO_SUCH_NAME: Final = frozenset({"dns_nxdomain_error", "android_dns_cache_no_data"})
"""Android's resolver gives the latter for any name without an answer (https://github.com/ooni/probe/issues/2029)."""
_IS_HTTP_FAILURE: Final = frozenset(
    {
        "connection_refused",
        "connection_reset",
        "eof_error",
        "generic_timeout_error",
        "ssl_invalid_hostname",
        "ssl_invalid_certificate",
        "ssl_unknown_authority",
    }
)


def judge_summary(url: str, keys: Keys, claimed_consistency: object) -> OoniVerdict:
    """Judges a website. `claimed_consistency`: the file's `dns_consistency`, used if the ASes needed are missing."""
    host = host_of(url)
    queries = _of_host(host, keys.queries or [])
    failures = [named(query.failure) for query in queries]
    dns_failure = failures[0] if failures and all(failures) else None
    why = {
        "dns_experiment_failure": "the lookup succeeded" if queries else "nothing was looked up",
        "http_experiment_failure": "of the last request",
    }
    if dns_failure:
        why["dns_experiment_failure"] = "every lookup failed, this one first"
    consistency, why["dns_consistency"], assumed = _consistency(host, queries, dns_failure, keys, claimed_consistency)
    http_failure = named(keys.requests[0].failure) if keys.requests else None
    verdict = web_verdict(_summed_up(keys, consistency, dns_failure), consistency, dns_failure, http_failure, why)
    if assumed:
        verdict.assumed["dns_consistency"] = why["dns_consistency"]
    return verdict


def _of_host(host: str, queries: list[QueryRecord]) -> list[QueryRecord]:
    """Returns the lookups of the site's own name; all of them if none matches, as files may write it differently."""
    return [query for query in queries if query.hostname == host] or queries


def _consistency(
    host: str, queries: list[QueryRecord], dns_failure: str | None, keys: Keys, claimed: object
) -> tuple[str | None, str, bool]:
    """Returns the consistency of the probe's answers with the test helper's, the reason, and whether it was copied from
    the file.
    """
    control = keys.control
    if named(keys.control_failure) or control is None:
        return None, "the test helper could not be asked", False
    if is_address(host):
        return CONSISTENT, "the input is an address", False
    theirs_failed = named(control.dns.failure)
    if dns_failure and theirs_failed:
        if theirs_failed == "dns_name_error" and dns_failure in _NO_SUCH_NAME:
            return CONSISTENT, "the test helper found no such name either", False
        return INCONSISTENT, f"the lookup failed otherwise than the test helper's ({theirs_failed})", False
    addresses = {address for query in queries for address in query.addresses}
    networks = KnownNetworks(queries, control)
    common = networks.common(addresses, control.addresses)
    if common:
        return CONSISTENT, "an answer is in an AS of the test helper's answers", False
    if addresses & set(control.addresses):
        return CONSISTENT, "an answer is one of the test helper's answers", False
    if common is None and claimed in (CONSISTENT, INCONSISTENT):
        return (
            str(claimed),
            "the file does not give the AS of every address that the test helper was answered with",
            True,
        )
    if dns_failure:
        return INCONSISTENT, "the lookup failed, the test helper's did not", False
    return INCONSISTENT, "no answer has an address or an AS in common with the test helper's answers", False


def _summed_up(keys: Keys, consistency: str | None, dns_failure: str | None) -> SiteVerdict:
    requests, control = keys.requests or [], keys.control
    last = requests[0] if requests else None
    if last is not None and not named(last.failure) and last.url.startswith("https://"):
        return _free("the last page came over HTTPS")
    if named(keys.control_failure) or control is None:
        return _unknown("the test helper could not be asked")
    if dns_failure in _NO_SUCH_NAME and consistency == CONSISTENT:
        return _free("there is no such name, for the test helper neither")
    if dns_failure == "dns_nxdomain_error":
        return _blocked("dns", "there is no such name, but for the test helper")
    connects = keys.tcp_connect or []
    if connects and consistency and all(connect.broken for connect in connects):
        return _blocked("tcp_ip" if consistency == CONSISTENT else "dns", f"every connect failed; DNS is {consistency}")
    if failed := named(control.http_request.failure):
        return _unknown(f"the test helper got no page either ({failed})")
    if last is None:
        return _unknown("no page was asked for")
    if failure := named(last.failure):
        return _of_failure(failure, len(requests) == 1, consistency)
    match = match_v04(last.response or ResponseRecord(), control.http_request)
    return _of_page(match, consistency)


def _of_failure(failure: str, single: bool, consistency: str | None) -> SiteVerdict:
    if failure != "dns_nxdomain_error" and failure not in _IS_HTTP_FAILURE:
        return _unknown(f"the last request failed by {failure}, of which the rules say nothing")
    if failure == "dns_nxdomain_error":
        return _blocked("dns", "the last request failed by dns_nxdomain_error")
    if single and consistency == INCONSISTENT:
        return _blocked("dns", f"the only request failed by {failure}, and DNS is inconsistent")
    return _blocked("http-failure", f"the last request failed by {failure}")


def _of_page(match: PageMatch, consistency: str | None) -> SiteVerdict:
    if match.same:
        return _free(f"the page is the test helper's: {match}")
    blocking = "dns" if consistency == INCONSISTENT else "http-diff"
    return _blocked(blocking, f"the page is not the test helper's: {match}; DNS is {consistency}")


def _free(why: str) -> SiteVerdict:
    return SiteVerdict(False, True, why)


def _unknown(why: str) -> SiteVerdict:
    return SiteVerdict(None, None, why)


def _blocked(blocking: str, why: str) -> SiteVerdict:
    return SiteVerdict(blocking, False, why)
