"""OONI's verdicts against upstream's own: its measurements, its quality-assurance cases and its tables of unit tests.

Sources, all of github.com/ooni/probe-cli: internal/experiment/webconnectivityqa, cases and what they expect;
internal/minipipeline/testdata/webconnectivity, measurements; `summary_test.go`, `dnsanalysis_test.go` and
`httpanalysis_test.go` of internal/experiment/webconnectivity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ooni_files import FIELDS, Json, answer, connect, control, handshake, query, request, website

import shutdownlab as sl
from shutdownlab.ooni.addresses import is_bogon
from shutdownlab.ooni.pages import PageMatch, match_flags, match_observations, match_v04
from shutdownlab.ooni.records import Binary, ControlPage, ResponseRecord

EXAMPLE, EXAMPLE_AS = "93.184.216.34", 15133
BLOCKPAGE, BLOCKPAGE_AS = "83.224.65.41", 30722
PROXY, PROXY_AS = "130.192.182.17", 137
BADSSL, BADSSL_AS = "104.154.89.105", 396982
BITLY, BITLY_AS = "67.199.248.11", 396982

HTTP, HTTPS = "http://www.example.com/", "https://www.example.com/"
HOST = "www.example.com"
PAGE = "<title>Default Web Page</title>".ljust(1533, "x")
BLOCK = "<title>Access Denied</title>".ljust(188, "x")
HEADERS = {"Alt-Svc": 'h3=":443"', "Content-Length": "1533", "Content-Type": "text/html", "Date": "Thu, 24 Aug 2023"}
BLOCK_HEADERS = {"Content-Type": "text/html", "Date": "Thu, 24 Aug 2023"}

ALL = ("0.4.3", "0.5.26", "0.5.28")


def judged(measurement: Json, **options: Any) -> sl.Judged:
    judgements = sl.judge(measurement, **options)
    (found,) = judgements
    assert not judgements.problems
    return found


def verdict(measurement: Json, **options: Any) -> tuple[object, ...]:
    found = judged(measurement, **options)
    return tuple(found.fields[name] for name in FIELDS)


def helper(port: int = 443, address: str = EXAMPLE, asn: int = EXAMPLE_AS, **more: Any) -> Json:
    """What the test helper of the cases sees of the page."""
    end = f"{address}:{port}"
    given: dict[str, Any] = {
        "tcp": {end: None},
        "tls": {end: (HOST, None)} if port == 443 else {},
        "body_length": 1533,
        "title": "Default Web Page",
        "headers": HEADERS,
        "asns": {address: asn},
    }
    return control(address, **given | more)


def genuine(url: str, **more: Any) -> Json:
    return request(url, code=200, body=PAGE, headers=HEADERS, **more)


def blockpage(url: str, **more: Any) -> Json:
    return request(url, code=200, body=BLOCK, headers=BLOCK_HEADERS, **more)


# -- measurements that upstream has judged, one by one -----------------------------------------------------------------


def unresolved(failure: str, transaction: int) -> Json:
    return query(HOST, failure=failure, transaction=transaction)


def by_doh(host: str, address: str, asn: int) -> list[Json]:
    """Both questions of DNS over HTTPS, the second without an answer."""
    return [
        query(host, answer(address, asn), engine="doh", kind="A", transaction=20001),
        query(host, failure="dns_no_answer", engine="doh", kind="AAAA", transaction=20001),
    ]


GOOGLE = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")


def google(port: int) -> list[str]:
    return [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address in GOOGLE]


MEASURED: dict[str, tuple[Json, tuple[object, ...]]] = {
    "dnsBlockingBOGON": (
        website(
            HTTPS,
            "0.5.28",
            queries=[
                *by_doh(HOST, EXAMPLE, EXAMPLE_AS),
                query(HOST, answer("10.10.34.35")),
                query(HOST, answer(EXAMPLE, EXAMPLE_AS), engine="udp", kind="A", transaction=10001),
            ],
            connects=[
                connect("10.10.34.35", 443, "generic_timeout_error", transaction=40001),
                connect(EXAMPLE, 443, transaction=40002),
            ],
            handshakes=[handshake(f"{EXAMPLE}:443", HOST, transaction=40002)],
            requests=[genuine(HTTPS, transaction=40002)],
            helper=helper(asns={"10.10.34.35": 0, EXAMPLE: EXAMPLE_AS}),
        ),
        ("dns", False, "inconsistent", None, "generic_timeout_error"),
    ),
    "dnsBlockingNXDOMAIN": (
        website(
            HTTPS,
            "0.5.28",
            queries=[*by_doh(HOST, EXAMPLE, EXAMPLE_AS), unresolved("dns_nxdomain_error", 1)],
            connects=[connect(EXAMPLE, 443, transaction=40001)],
            handshakes=[handshake(f"{EXAMPLE}:443", HOST, transaction=40001)],
            requests=[genuine(HTTPS, transaction=40001)],
            helper=helper(),
        ),
        ("dns", False, "inconsistent", "dns_nxdomain_error", "dns_nxdomain_error"),
    ),
    "badSSLWithExpiredCertificate": (
        website(
            "https://expired.badssl.com/",
            "0.5.28",
            queries=[
                *by_doh("expired.badssl.com", BADSSL, BADSSL_AS),
                query("expired.badssl.com", answer(BADSSL, BADSSL_AS), transaction=10001),
            ],
            connects=[connect(BADSSL, 443, transaction=50001)],
            handshakes=[handshake(f"{BADSSL}:443", "expired.badssl.com", "ssl_invalid_certificate", transaction=50001)],
            helper=control(
                BADSSL,
                tcp={f"{BADSSL}:443": None},
                tls={f"{BADSSL}:443": ("expired.badssl.com", "ssl_invalid_certificate")},
                http="unknown_error",
                asns={BADSSL: BADSSL_AS},
            ),
        ),
        (False, False, "consistent", None, "ssl_invalid_certificate"),
    ),
    "ghostDNSBlockingWithHTTPS": (
        website(
            "https://itsat.info/",
            "0.5.28",
            queries=[
                query("itsat.info", failure="dns_nxdomain_error", engine="doh", kind="A", transaction=20001),
                query("itsat.info", failure="dns_nxdomain_error", engine="doh", kind="AAAA", transaction=20001),
                query("itsat.info", answer(BLOCKPAGE, BLOCKPAGE_AS)),
                query("itsat.info", answer(BLOCKPAGE, BLOCKPAGE_AS), engine="udp", kind="A", transaction=10001),
                query("itsat.info", failure="dns_no_answer", engine="udp", kind="AAAA", transaction=10001),
            ],
            connects=[connect(BLOCKPAGE, 443, "connection_refused", transaction=40001)],
            helper=control(
                dns="dns_name_error",
                tcp={f"{BLOCKPAGE}:443": "connection_refused_error"},
                http="dns_lookup_error",
                asns={BLOCKPAGE: BLOCKPAGE_AS},
            ),
        ),
        ("dns", False, "inconsistent", None, "connection_refused"),
    ),
    "redirectWithConsistentDNSAndThenNXDOMAIN": (  # as 0.5.26 judged it: "BUG: LTE thinks this website is accessible"
        website(
            "https://bit.ly/21645",
            "0.5.26",
            queries=[
                query("bit.ly", answer(BITLY, BITLY_AS), engine="udp", kind="A", transaction=2),
                query("bit.ly", failure="dns_no_answer", engine="udp", kind="AAAA", transaction=2),
                query("bit.ly", answer(BITLY, BITLY_AS)),
                query(HOST, failure="dns_nxdomain_error", depth=1, transaction=5),
                query(HOST, failure="dns_nxdomain_error", engine="udp", kind="A", depth=1, transaction=4),
            ],
            connects=[connect(BITLY, 443, transaction=3)],
            handshakes=[handshake(f"{BITLY}:443", "bit.ly", transaction=3)],
            requests=[request("https://bit.ly/21645", code=308, transaction=3)],
            helper=helper(address=BITLY, asn=BITLY_AS, tls={f"{BITLY}:443": ("bit.ly", None)}),
        ),
        (False, True, "consistent", "dns_nxdomain_error", None),
    ),
    "ts-017": (  # the specification's example, of a real network: AS30722, 22 March 2021
        website(
            "https://example.com",
            "0.4.0",
            queries=[
                query("example.com", answer(EXAMPLE, EXAMPLE_AS), engine="system", kind="A"),
                query(
                    "example.com",
                    answer("2606:2800:220:1:248:1893:25c8:1946", EXAMPLE_AS),
                    engine="system",
                    kind="AAAA",
                ),
            ],
            connects=[
                connect(
                    "2606:2800:220:1:248:1893:25c8:1946",
                    443,
                    "unknown_failure: dial tcp [scrubbed]: connect: no route to host",
                ),
                connect(EXAMPLE, 443),
            ],
            handshakes=[{"server_name": "example.com", "failure": None, "tags": ["tcptls_experiment"]}],
            requests=[request("https://example.com", code=200, body="<title>Example Domain</title>")],
            helper=control(
                EXAMPLE,
                tcp={
                    f"{EXAMPLE}:443": None,
                    "[2606:2800:220:1:248:1893:25c8:1946]:443": "invalid_socket",
                },
                body_length=1256,
                title="Example Domain",
            ),
        ),
        (False, True, "consistent", None, None),
    ),
    "dnsgoogle80": (  # of a real network: AS30722, 27 November 2023
        website(
            "http://dns.google",
            "0.5.26",
            queries=[
                query("dns.google", *(answer(address, 15169) for address in GOOGLE)),
                query("dns.google", *(answer(address, 15169) for address in GOOGLE[:2]), engine="doh", kind="A"),
                query("dns.google", *(answer(address, 15169) for address in GOOGLE[2:]), engine="doh", kind="AAAA"),
            ],
            connects=[
                *(connect(address, 443, transaction=8 + n) for n, address in enumerate(GOOGLE)),
                connect("8.8.8.8", 80, "timed_out", transaction=6),
                *(connect(each, 80, "generic_timeout_error", transaction=3 + n) for n, each in enumerate(GOOGLE[1:])),
            ],
            handshakes=[handshake(end, "dns.google", transaction=8 + n) for n, end in enumerate(google(443))],
            helper=control(
                *GOOGLE,
                tcp=dict.fromkeys(google(443)) | dict.fromkeys(google(80), "generic_timeout_error"),
                tls=dict.fromkeys(google(443), ("dns.google", None)),
                http="generic_timeout_error",
                asns=dict.fromkeys(GOOGLE, 15169),
            ),
        ),
        (None, None, "consistent", None, None),
    ),
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_upstream_measured_is_judged_as_upstream_did(name: str) -> None:
    measurement, expected = MEASURED[name]
    measurement = measurement | {"test_keys": measurement["test_keys"] | dict(zip(FIELDS, expected, strict=True))}
    assert verdict(measurement) == expected
    assert judged(measurement).differs == ()


# -- upstream's cases of quality assurance ----------------------------------------------------------------------------


def case(url: str, *, unsent: str | None = None, **what: Any) -> Callable[[str], Json]:
    """`unsent`: the failure of a step before the request, which is a request's failure for 0.4, for 0.5 no request."""

    def made(version: str) -> Json:
        requests = [request(url, unsent)] if unsent and version.startswith("0.4") else what.get("requests", [])
        return website(url, version, **what | {"requests": requests})

    return made


def true_lookup() -> Json:
    return query(HOST, answer(EXAMPLE, EXAMPLE_AS))


def false_lookup(address: str, asn: int) -> Json:
    return query(HOST, answer(address, asn))


def redirected(end: str, port: int, failure: str, reached: str) -> Callable[[str], Json]:
    """https://bit.ly/… leads to www.example.com, where a step fails; `end`: the URL there."""
    there = f"{EXAMPLE}:{port}"
    connects = [connect(BITLY, 443), connect(EXAMPLE, port, failure if reached == "connect" else None, transaction=4)]
    connects[1]["tags"][0] = "depth=1"
    secure = [handshake(there, HOST, None if reached == "request" else failure, transaction=4, depth=1)]

    def made(version: str) -> Json:
        old = version.startswith("0.4")  # it records every request, and no later step of another host
        failed = [request(end, failure, transaction=4, depth=1)] if old or reached == "request" else []
        return website(
            "https://bit.ly/21645",
            version,
            queries=[query("bit.ly", answer(BITLY, BITLY_AS))]
            + ([] if old else [query(HOST, answer(EXAMPLE, EXAMPLE_AS), depth=1, transaction=3)]),
            connects=connects[:1] if old else connects,
            handshakes=[
                handshake(f"{BITLY}:443", "bit.ly"),
                *(secure if port == 443 and reached != "connect" and not old else []),
            ],
            requests=[*failed, request("https://bit.ly/21645", code=308, headers={"Location": end})],
            helper=helper(address=BITLY, asn=BITLY_AS, tls={f"{BITLY}:443": ("bit.ly", None)}),
        )

    return made


ONE_REQUEST: dict[str, tuple[Callable[[str], Json], tuple[str, ...], tuple[object, ...]]] = {
    "successWithHTTP": (
        case(
            HTTP, queries=[true_lookup()], connects=[connect(EXAMPLE, 80)], requests=[genuine(HTTP)], helper=helper(80)
        ),
        ALL,
        (False, True, "consistent", None, None),
    ),
    "successWithHTTPS": (
        case(
            HTTPS,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 443)],
            handshakes=[handshake(f"{EXAMPLE}:443", HOST)],
            requests=[genuine(HTTPS)],
            helper=helper(),
        ),
        ALL,
        (False, True, "consistent", None, None),
    ),
    "dnsBlockingNXDOMAIN": (
        case(HTTPS, queries=[unresolved("dns_nxdomain_error", 1)], helper=helper()),
        ("0.4.3", "0.5.26"),
        ("dns", False, "inconsistent", "dns_nxdomain_error", None),
    ),
    "dnsBlockingBOGON": (
        case(
            HTTPS,
            queries=[query(HOST, answer("10.10.34.35"))],
            connects=[connect("10.10.34.35", 443, "generic_timeout_error")],
            unsent="generic_timeout_error",
            helper=helper(),
        ),
        ALL,
        ("dns", False, "inconsistent", None, "generic_timeout_error"),
    ),
    "websiteDownNXDOMAIN, debatable": (
        case(
            "http://www.example.xyz/",
            queries=[query("www.example.xyz", failure="dns_nxdomain_error")],
            helper=control(dns="dns_name_error", http="dns_lookup_error"),
        ),
        ("0.4.3",),
        (False, True, "consistent", "dns_nxdomain_error", None),
    ),
    "websiteDownNXDOMAIN": (
        case(
            "http://www.example.xyz/",
            queries=[query("www.example.xyz", failure="dns_nxdomain_error")],
            helper=control(dns="dns_name_error", http="dns_lookup_error"),
        ),
        ("0.5.26",),
        (False, False, "consistent", "dns_nxdomain_error", None),
    ),
    "tcpBlockingConnectTimeout": (
        case(
            HTTPS,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 443, "generic_timeout_error")],
            unsent="generic_timeout_error",
            helper=helper(),
        ),
        ALL,
        ("tcp_ip", False, "consistent", None, "generic_timeout_error"),
    ),
    "tcpBlockingConnectionRefusedWithInconsistentDNS": (
        case(
            "http://www.example.org/",
            queries=[query("www.example.org", answer(BLOCKPAGE, BLOCKPAGE_AS))],
            connects=[connect(BLOCKPAGE, 80, "connection_refused")],
            unsent="connection_refused",
            helper=helper(80),
        ),
        ALL,
        ("dns", False, "inconsistent", None, "connection_refused"),
    ),
    "tlsBlockingConnectionReset": (
        case(
            HTTPS,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 443)],
            handshakes=[handshake(f"{EXAMPLE}:443", HOST, "connection_reset")],
            unsent="connection_reset",
            helper=helper(),
        ),
        ALL,
        ("http-failure", False, "consistent", None, "connection_reset"),
    ),
    "httpBlockingConnectionReset": (
        case(
            HTTP,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 80)],
            requests=[request(HTTP, "connection_reset")],
            helper=helper(80),
        ),
        ALL,
        ("http-failure", False, "consistent", None, "connection_reset"),
    ),
    "throttlingWithHTTP": (
        case(
            HTTP,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 80)],
            requests=[request(HTTP, "generic_timeout_error")],
            helper=helper(80),
        ),
        ("0.5.26", "0.5.28"),
        ("http-failure", False, "consistent", None, "generic_timeout_error"),
    ),
    "dnsHijackingToProxyWithHTTPURL": (
        case(
            HTTP,
            queries=[false_lookup(PROXY, PROXY_AS)],
            connects=[connect(PROXY, 80)],
            requests=[genuine(HTTP)],
            helper=helper(80),
        ),
        ("0.4.3", "0.5.28"),
        (False, True, "inconsistent", None, None),
    ),
    "dnsHijackingToProxyWithHTTPSURL": (
        case(
            HTTPS,
            queries=[false_lookup(PROXY, PROXY_AS)],
            connects=[connect(PROXY, 443)],
            handshakes=[handshake(f"{PROXY}:443", HOST)],
            requests=[genuine(HTTPS)],
            helper=helper(),
        ),
        ("0.4.3", "0.5.28"),
        (False, True, "inconsistent", None, None),
    ),
    "dnsHijackingToLocalhostWithHTTP": (
        case(HTTP, queries=[query(HOST, answer("127.0.0.1"))], helper=helper(80)),
        ("0.5.26", "0.5.28"),
        ("dns", False, "inconsistent", None, None),
    ),
    "localhostWithHTTP": (
        case(HTTP, queries=[query(HOST, answer("127.0.0.1"))], helper=control("127.0.0.1", http="unknown_error")),
        ("0.5.28",),
        (False, False, "consistent", None, None),
    ),
    "httpDiffWithConsistentDNS": (
        case(
            HTTP,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 80)],
            requests=[blockpage(HTTP)],
            helper=helper(80),
        ),
        ALL,
        ("http-diff", False, "consistent", None, None),
    ),
    "httpDiffWithInconsistentDNS": (
        case(
            HTTP,
            queries=[false_lookup(PROXY, PROXY_AS)],
            connects=[connect(PROXY, 80)],
            requests=[blockpage(HTTP)],
            helper=helper(80),
        ),
        ALL,
        ("dns", False, "inconsistent", None, None),
    ),
    "badSSLWithUnknownAuthorityWithInconsistentDNS": (
        case(
            HTTPS,
            queries=[false_lookup(BADSSL, BADSSL_AS)],
            connects=[connect(BADSSL, 443)],
            handshakes=[handshake(f"{BADSSL}:443", HOST, "ssl_unknown_authority")],
            unsent="ssl_unknown_authority",
            helper=helper(),
        ),
        ALL,
        ("dns", False, "inconsistent", None, "ssl_unknown_authority"),
    ),
    "badSSLWithExpiredCertificate": (
        case(
            "https://expired.badssl.com/",
            queries=[query("expired.badssl.com", answer(BADSSL, BADSSL_AS))],
            connects=[connect(BADSSL, 443)],
            handshakes=[handshake(f"{BADSSL}:443", "expired.badssl.com", "ssl_invalid_certificate")],
            unsent="ssl_invalid_certificate",
            helper=control(BADSSL, http="unknown_error", asns={BADSSL: BADSSL_AS}),
        ),
        ("0.4.3",),
        (None, None, "consistent", None, "ssl_invalid_certificate"),
    ),
    "controlFailureWithSuccessfulHTTPWebsite": (
        case(
            HTTP,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 80)],
            requests=[genuine(HTTP)],
            helper_failure="unknown_failure: httpapi: all endpoints failed: [ connection_reset;]",
        ),
        ("0.4.3", "0.5.28"),
        (None, None, None, None, None),
    ),
    "controlFailureWithSuccessfulHTTPSWebsite": (
        case(
            HTTPS,
            queries=[true_lookup()],
            connects=[connect(EXAMPLE, 443)],
            handshakes=[handshake(f"{EXAMPLE}:443", HOST)],
            requests=[genuine(HTTPS)],
            helper_failure="unknown_failure: httpapi: all endpoints failed: [ connection_reset;]",
        ),
        ("0.4.3", "0.5.28"),
        (False, True, None, None, None),
    ),
    "redirectWithConsistentDNSAndThenConnectionRefusedForHTTPS": (
        redirected(HTTPS, 443, "connection_refused", "connect"),
        ("0.4.3", "0.5.28"),
        ("http-failure", False, "consistent", None, "connection_refused"),
    ),
    "redirectWithConsistentDNSAndThenConnectionResetForHTTP": (
        redirected(HTTP, 80, "connection_reset", "request"),
        ALL,
        ("http-failure", False, "consistent", None, "connection_reset"),
    ),
    "redirectWithConsistentDNSAndThenEOFForHTTPS": (
        redirected(HTTPS, 443, "eof_error", "handshake"),
        ("0.4.3", "0.5.28"),
        ("http-failure", False, "consistent", None, "eof_error"),
    ),
    "redirectWithConsistentDNSAndThenTimeoutForHTTP": (
        redirected(HTTP, 80, "generic_timeout_error", "request"),
        ALL,
        ("http-failure", False, "consistent", None, "generic_timeout_error"),
    ),
    "redirectWithConsistentDNSAndThenNXDOMAIN": (
        lambda version: website(
            "https://bit.ly/21645",
            version,
            queries=[
                query("bit.ly", answer(BITLY, BITLY_AS)),
                query(HOST, failure="dns_nxdomain_error", depth=1, transaction=5),
            ],
            connects=[connect(BITLY, 443)],
            handshakes=[handshake(f"{BITLY}:443", "bit.ly")],
            requests=[request("https://bit.ly/21645", code=308)],
            helper=helper(address=BITLY, asn=BITLY_AS),
        ),
        ("0.5.28",),
        ("dns", False, "consistent", None, "dns_nxdomain_error"),
    ),
}


@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name, (_, versions, _) in ONE_REQUEST.items() for version in versions]
)
def test_upstreams_cases_come_out_as_upstream_expects(name: str, version: str) -> None:
    made, _, expected = ONE_REQUEST[name]
    measurement = made(version)
    if version == "0.5.26" and not measurement["test_keys"]["requests"]:
        expected = (*expected[:4], None)  # it looks at requests only
    assert verdict(measurement) == expected


# -- upstream's tables of unit tests ----------------------------------------------------------------------------------

CONSISTENT = {"queries": [true_lookup()]}
INCONSISTENT = {"queries": [false_lookup(BLOCKPAGE, BLOCKPAGE_AS)]}
OPEN = {"connects": [connect(EXAMPLE, 80)]}


@pytest.mark.parametrize(
    ("failure", "lookup", "requests", "expected"),
    [
        *((failure, CONSISTENT, 1, ("http-failure", False)) for failure in ("connection_refused", "connection_reset")),
        *((failure, CONSISTENT, 1, ("http-failure", False)) for failure in ("eof_error", "generic_timeout_error")),
        ("ssl_invalid_hostname", CONSISTENT, 1, ("http-failure", False)),
        ("ssl_invalid_certificate", CONSISTENT, 1, ("http-failure", False)),
        ("ssl_unknown_authority", CONSISTENT, 1, ("http-failure", False)),
        ("dns_nxdomain_error", CONSISTENT, 2, ("dns", False)),
        ("ssl_unknown_authority", INCONSISTENT, 1, ("dns", False)),
        ("ssl_unknown_authority", INCONSISTENT, 2, ("http-failure", False)),
        ("unknown_failure: EOF", CONSISTENT, 1, (None, None)),
    ],
)
def test_v04_names_a_failed_request_by_its_failure(
    failure: str, lookup: Json, requests: int, expected: tuple[object, ...]
) -> None:
    chain = [request(HTTP, failure), request(HTTP, code=302)][:requests]
    assert verdict(website(HTTP, **lookup, **OPEN, requests=chain, helper=helper(80)))[:2] == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"1.1.1.1": 15169, "8.8.8.8": 13335}, {"2.2.2.2": 13335, "3.3.3.3": 15169}, "consistent"),
        ({"1.1.1.1": 15169, "8.8.8.8": 13335}, {"2.2.2.2": 13335}, "consistent"),
        ({"1.1.1.1": 15169, "8.8.8.8": 15169}, {"2.2.2.2": 13335}, "inconsistent"),
        ({"2001:4860:4860::8844": 0, "8.8.4.4": 0}, {"8.8.8.8": 0, "2001:4860:4860::8844": 0}, "consistent"),
        ({"2001:4860:4860::8888": 0, "8.8.8.8": 0}, {"8.8.4.4": 0, "2001:4860:4860::8844": 0}, "inconsistent"),
    ],
)
def test_v04_compares_lookups_by_as_and_then_by_address(
    ours: dict[str, int], theirs: dict[str, int], expected: str
) -> None:
    lookup = query(HOST, *(answer(address, asn) for address, asn in ours.items()))
    measurement = website(HTTP, queries=[lookup], helper=control(*theirs, asns=theirs))
    assert judged(measurement).fields["dns_consistency"] == expected


@pytest.mark.parametrize(
    ("url", "failure", "theirs", "expected"),
    [
        ("http://10.0.0.1/", None, "dns_name_error", "consistent"),
        (HTTP, "unknown_failure: EOF", "dns_name_error", "inconsistent"),
        (HTTP, "dns_nxdomain_error", "dns_name_error", "consistent"),
        (HTTP, "android_dns_cache_no_data", "dns_name_error", "consistent"),
        (HTTP, "dns_nxdomain_error", "dns_server_failure", "inconsistent"),
    ],
)
def test_v04_compares_failures_of_lookups(url: str, failure: str | None, theirs: str, expected: str) -> None:
    lookups = [query(HOST, failure=failure)] if failure else []
    assert judged(website(url, queries=lookups, helper=control(dns=theirs))).fields["dns_consistency"] == expected


Match = Callable[[ResponseRecord, ControlPage], PageMatch]


@pytest.mark.parametrize(
    ("ours", "theirs", "truncated", "expected"),
    [
        (0, 1024, False, None),
        (0, 1024, True, None),
        (768, -1, False, None),
        (768, 0, False, None),
        (768, 1024, False, True),
        (1024, 768, False, True),
        (8, 16, False, False),
        (16, 8, False, False),
        (7, 10, False, False),  # 0.7 is not more than 0.7
        (768, 1024, True, None),
    ],
)
@pytest.mark.parametrize("match", [match_v04, match_flags, match_observations])
def test_bodies_agree_by_more_than_seven_tenths(
    match: Match, ours: int, theirs: int, truncated: bool, expected: bool | None
) -> None:
    seen = ResponseRecord(code=200, body="x" * ours, body_is_truncated=truncated)
    assert match(seen, ControlPage(status_code=200, body_length=theirs)).body is expected


def test_a_body_that_is_no_text_has_the_length_that_it_had() -> None:
    seen = ResponseRecord(code=200, body=Binary(data="/////////////w=="))  # ten octets
    assert match_v04(seen, ControlPage(status_code=200, body_length=10)).body is True
    assert match_v04(seen, ControlPage(status_code=200, body_length=100)).body is False


@pytest.mark.parametrize(
    ("ours", "theirs", "by_v04", "by_v05"),
    [
        (0, 0, None, None),
        (501, 501, True, True),
        (407, 501, None, None),
        (200, 404, False, None),
        (407, 200, False, False),
        (200, 0, None, None),
        (200, -1, None, None),
        (0, 200, None, None),
    ],
)
def test_status_codes_agree(ours: int, theirs: int, by_v04: bool | None, by_v05: bool | None) -> None:
    seen, control_page = ResponseRecord(code=ours), ControlPage(status_code=theirs)
    assert match_v04(seen, control_page).status is by_v04
    assert match_flags(seen, control_page).status is by_v05
    assert match_observations(seen, control_page).status is by_v05


COMMON = ["Accept-Ranges", "Age", "Cache-Control", "Content-Type", "Date", "Etag", "Expires", "Last-Modified", "Server"]


@pytest.mark.parametrize(
    ("ours", "theirs", "by_v04", "by_flags", "by_observations"),
    [
        (["Date"], ["Date"], True, True, False),
        (["Date", "Antani"], ["Date", "Antani"], True, True, True),
        (["Date", "Antani"], ["Date", "Melandri"], False, False, False),
        ([*COMMON, "Content-Length", "X-Cache"], [*COMMON, "X-Cache"], True, True, True),
        ([*COMMON, "Content-Length"], COMMON, False, False, False),
        (COMMON, [name.swapcase() for name in COMMON], True, True, False),
        ([], ["Antani"], False, None, False),
    ],
)
def test_headers_agree_by_their_uncommon_names(
    ours: list[str], theirs: list[str], by_v04: bool, by_flags: bool | None, by_observations: bool
) -> None:
    seen = ResponseRecord(code=200, headers=dict.fromkeys(ours, "x"))
    control_page = ControlPage(status_code=200, headers=dict.fromkeys(theirs, "y"))
    assert match_v04(seen, control_page).headers is by_v04
    assert match_flags(seen, control_page).headers is by_flags
    assert match_observations(seen, control_page).headers is by_observations


@pytest.mark.parametrize(
    ("ours", "theirs", "by_v04", "by_flags", "by_observations"),
    [
        ("<HTML/>", "", None, None, True),
        ("<HTML/>", "Community", None, None, False),
        ("<HTML><TITLE>La community di MSN</TITLE></HTML>", "MSN Community", True, True, True),
        ("<HTML><TiTLe>La commUNity di MSN</tITLE></HTML>", "MSN COmmunity", True, True, True),
        ("<HTML><TITLE>La communita' di MSN</TITLE></HTML>", "MSN Community", False, False, False),
        ("<HTML><TITLE>Access Denied</TITLE></HTML>", "", False, None, False),
        (f"<TITLE>{'x' * 513}</TITLE>", "Community", None, None, False),
    ],
)
def test_titles_agree_by_their_long_words(
    ours: str, theirs: str, by_v04: bool | None, by_flags: bool | None, by_observations: bool
) -> None:
    seen, control_page = ResponseRecord(code=200, body=ours), ControlPage(status_code=200, title=theirs)
    assert match_v04(seen, control_page).title is by_v04
    assert match_flags(seen, control_page).title is by_flags
    assert match_observations(seen, control_page).title is by_observations


@pytest.mark.parametrize(
    "address", ["10.10.34.35", "127.0.53.53", "100.64.0.1", "255.255.255.255", "::1", "2002:a0a:2223::1", "nonsense"]
)
def test_what_no_public_network_has_is_a_bogon(address: str) -> None:
    assert is_bogon(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2001:4860:4860::8888", "2002:5db8:d822::1"])
def test_what_public_networks_have_is_no_bogon(address: str) -> None:
    assert not is_bogon(address)
