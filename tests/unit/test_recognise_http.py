"""HTTP/1.x requests as browsers send them, and as evasion tools bend them while servers still answer."""

from __future__ import annotations

import pytest

from shutdownlab.inspection.recognition import recognise_tcp

PLAIN = b"GET /a?b=c HTTP/1.1\r\nHost: www.Example.org\r\nUser-Agent: curl/8\r\n\r\n"


def test_plain_request() -> None:
    found = recognise_tcp(PLAIN, b"", 80)
    assert (found.protocol, found.host, found.method, found.more) == ("http", "www.example.org", "GET", False)
    assert found.url == "http://www.example.org/a?b=c"
    assert found.user_agent == "curl/8"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nhOsT: h.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:h.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\t h.example \t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : h.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h.example.\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h.example:80\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h.example\n\n",
        b"GET / HTTP/1.1\r\nHost:\r\n h.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nAccept: a,\r\n\tb\r\nHost: h.example\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: h.example\r\n\r\n",
        b"GET  \t /  HTTP/1.1\r\nHost: h.example\r\n\r\n",
        b"get / http/1.1\r\nHost: h.example\r\n\r\n",
        b"GeT / HTTP/1.1\r\nHost: h.example\r\n\r\n",
        b"XYZZY / HTTP/1.1\r\nHost: h.example\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: h.example\r\n\r\n",
        b"GET http://h.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
        b"GET HTTP://h.example:8080/ HTTP/1.1\r\n\r\n",
        b"CONNECT h.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://user:pw@h.example/ HTTP/1.1\r\n\r\n",
        b"POST /api HTTP/1.1\r\nContent-Length: 3\r\nX: " + b"a" * 3000 + b"\r\nHost: h.example\r\n\r\nabc",
    ],
)
def test_host_is_found_in_any_spelling_a_server_accepts(request_bytes: bytes) -> None:
    found = recognise_tcp(request_bytes, b"", 80)
    assert (found.protocol, found.host, found.more) == ("http", "h.example", False)


def test_port_other_than_80_stays_in_the_url() -> None:
    assert recognise_tcp(b"GET /x HTTP/1.1\r\nHost: h:8080\r\n\r\n", b"", 8080).url == "http://h:8080/x"


def test_ipv6_literal_host() -> None:
    found = recognise_tcp(b"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n\r\n", b"", 80)
    assert (found.host, found.url) == ("2001:db8::1", "http://[2001:db8::1]/")


def test_internationalised_host() -> None:
    found = recognise_tcp("GET / HTTP/1.1\r\nHost: қазақ.қаз\r\n\r\n".encode(), b"", 80)
    assert found.host == "xn--80ai8dq.xn--80ao21a" or (found.host or "").startswith("xn--")


def test_every_prefix_waits_until_the_host_line_is_complete() -> None:
    end_of_host = PLAIN.index(b"Example.org\r\n") + len(b"Example.org\r\n")
    for length in range(1, len(PLAIN)):
        found = recognise_tcp(PLAIN[:length], b"", 80)
        assert found.more == (length < end_of_host), PLAIN[:length]
        assert found.host == (None if length < end_of_host else "www.example.org")


def test_request_without_a_host_ends_with_its_headers() -> None:
    found = recognise_tcp(b"GET /x HTTP/1.0\r\nAccept: */*\r\n\r\n", b"", 80)
    assert (found.protocol, found.host, found.url, found.more) == ("http", None, "/x", False)


def test_the_first_of_two_hosts_counts() -> None:
    found = recognise_tcp(b"GET / HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\n\r\n", b"", 80)
    assert found.host == "one.example"


@pytest.mark.parametrize(
    "text",
    [
        b"GET the prisoners ready\n",
        b"HELO mail.example\r\n",
        b"USER anonymous\r\n",
        b"220 smtp.example ESMTP\r\n",
        b"* OK IMAP4rev1\r\n",
        b"hello world, this is text\r\n",
    ],
)
def test_other_text_is_not_http(text: bytes) -> None:
    assert recognise_tcp(text, b"", 21).protocol in ("unknown", "smtp")


def test_http2_preface() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert recognise_tcp(preface[:16], b"", 80).protocol == "http2"
    assert recognise_tcp(preface[:16] + b"no", b"", 80).protocol != "http2"
    assert recognise_tcp(preface[:5], b"", 80).more


def test_a_response_names_the_protocol_of_an_odd_request() -> None:
    assert recognise_tcp(b"\x01\x02GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n", 80).protocol == "http"


def test_a_connection_joined_late_is_known_by_its_response() -> None:
    assert recognise_tcp(b"HTTP/1.1 206 Partial Content\r\n", b"", 50506).protocol == "http"
    assert recognise_tcp(b"HTTP/1.1206 Partial Content\r\n", b"", 50506).protocol == "unknown"
