"""What boxes with lesser parsers miss: every field of `Tolerance`, with the published evasion it stands for."""

from __future__ import annotations

import struct

import pytest
from client_hellos import hello_body, message, openssl_hello, records, sni
from tolerated import ANNOUNCED_ANSWERS, COMPRESSED_QUESTION, HTTP, PLAIN

from shutdownlab.inspection.recognition import Tolerance, recognise_tcp, udp_session

FOLDED = b"GET / HTTP/1.1\r\nHost:\r\n twitter.com\r\n\r\n"


@pytest.mark.parametrize("field", HTTP)
def test_a_box_without_the_tolerance_misses_the_name_and_sees_the_plain_one(field: str) -> None:
    lesser = Tolerance(**{field: False})
    assert recognise_tcp(HTTP[field], b"", 80).host == "twitter.com"
    assert recognise_tcp(HTTP[field], b"", 80, lesser).host != "twitter.com"
    assert recognise_tcp(PLAIN, b"", 80, lesser).host == "twitter.com"


def test_folding_is_one_tolerance_in_both_its_forms() -> None:
    assert recognise_tcp(FOLDED, b"", 80).host == "twitter.com"
    assert recognise_tcp(FOLDED, b"", 80, Tolerance(http_folding=False)).host is None


def test_every_field_has_its_test() -> None:
    elsewhere = {"tls_records", "tls_partial", "dns_counts", "dns_pointers", "proxies", "quic_datagrams", "starttls"}
    assert set(Tolerance.model_fields) == set(HTTP) | elsewhere


def test_a_box_that_reads_single_records() -> None:
    whole = openssl_hello("www.example.org")
    cut = records(whole[5:], 64)
    lesser = Tolerance(tls_records=False)
    assert recognise_tcp(cut, b"", 443).host == "www.example.org"
    found = recognise_tcp(cut, b"", 443, lesser)
    assert (found.protocol, found.host, found.more) == ("tls", None, False)
    assert recognise_tcp(whole, b"", 443, lesser).host == "www.example.org"
    assert recognise_tcp(whole[:100], b"", 443, lesser).more


def test_a_box_that_wants_the_hello_complete() -> None:
    whole = openssl_hello("www.example.org")
    lesser = Tolerance(tls_partial=False)
    assert recognise_tcp(whole[:-1], b"", 443).host == "www.example.org"
    found = recognise_tcp(whole[:-1], b"", 443, lesser)
    assert (found.host, found.more) == (None, True)
    assert recognise_tcp(whole, b"", 443, lesser).host == "www.example.org"


def test_a_trailing_dot_in_the_server_name() -> None:
    hello = records(message(hello_body(sni(b"twitter.com."))))
    assert recognise_tcp(hello, b"", 443).host == "twitter.com"
    assert recognise_tcp(hello, b"", 443, Tolerance(trailing_dot=False)).host == "twitter.com."


def test_queries_that_announce_answers() -> None:
    query = ANNOUNCED_ANSWERS
    assert udp_session().feed(query, True, 53).host == "twitter.com"
    assert udp_session(Tolerance(dns_counts=False)).feed(query, True, 53).host is None
    stream = struct.pack("!H", len(query)) + query
    assert recognise_tcp(stream, b"", 53).host == "twitter.com"
    assert recognise_tcp(stream, b"", 53, Tolerance(dns_counts=False)).host is None


def test_compressed_questions() -> None:
    query = COMPRESSED_QUESTION
    assert udp_session().feed(query, True, 53).host == "twitter.com"
    assert udp_session(Tolerance(dns_pointers=False)).feed(query, True, 53).host is None
