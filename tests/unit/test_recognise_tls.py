"""TLS ClientHellos made by OpenSSL and by hand, whole, cut and bent."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable

import pytest
import trustme
from client_hellos import extension, hello_body, message, openssl_hello, records, sni

from shutdownlab.inspection.recognisers.ja4 import ja4
from shutdownlab.inspection.recognition import recognise_tcp


def test_openssl_hello_gives_name_alpn_and_versions() -> None:
    found = recognise_tcp(openssl_hello("www.Example.ORG", ["h2", "http/1.1"]), b"", 443)
    assert (found.protocol, found.host, found.more) == ("tls", "www.example.org", False)
    assert found.alpn == ("h2", "http/1.1")
    assert found.versions[:2] == (0x0304, 0x0303)  # older ones follow, if this OpenSSL still offers them


def test_hello_without_a_name_has_no_host() -> None:
    found = recognise_tcp(openssl_hello(None), b"", 443)
    assert (found.protocol, found.host, found.more) == ("tls", None, False)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 40, 64, 200])
def test_hello_across_records_is_put_together(size: int) -> None:
    whole = openssl_hello("split.example", ["h2"])
    cut = records(whole[5:], size)
    found = recognise_tcp(cut, b"", 443)
    assert (found.protocol, found.host, found.more, found.alpn) == ("tls", "split.example", False, ("h2",))
    assert found.ja4 == recognise_tcp(whole, b"", 443).ja4


def test_every_prefix_waits_for_more_and_the_name_appears_once_it_has_come() -> None:
    whole = openssl_hello("www.example.org")
    end_of_name = whole.index(b"www.example.org") + len(b"www.example.org")
    for length in range(1, len(whole)):
        found = recognise_tcp(whole[:length], b"", 443)
        assert found.more, length
        assert found.host == ("www.example.org" if length >= end_of_name else None)
        assert found.ja4 is None
    assert not recognise_tcp(whole, b"", 443).more


@pytest.mark.parametrize(
    "bend",
    [
        lambda hello: b"\x16\x03\x01\0\0" + hello,
        lambda hello: b"\x16\x03\x03\0\0" * 3 + records(hello[5:], 40),
        lambda hello: b"\x16\x03\xff" + hello[3:],
    ],
)
def test_what_openssl_takes_for_a_hello_is_one(bend: Callable[[bytes], bytes]) -> None:
    sent = bend(openssl_hello("www.example.org"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("www.example.org").configure_cert(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    to_server.write(sent)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    assert to_client.pending > 100
    found = recognise_tcp(sent, b"", 443)
    assert (found.protocol, found.host, found.more) == ("tls", "www.example.org", False)
    for length in range(1, len(sent)):
        assert recognise_tcp(sent[:length], b"", 443).more


def test_another_record_inside_the_hello_ends_the_wait() -> None:
    whole = openssl_hello("www.example.org")
    cut = records(whole[5:60]) + b"\x15\x03\x01\x00\x02\x01\x00" + records(whole[60:])
    found = recognise_tcp(cut, b"", 443)
    assert (found.protocol, found.host, found.more) == ("tls", None, False)


def test_internationalised_names_become_a_labels() -> None:
    raw = "пример.рф".encode()
    found = recognise_tcp(records(message(hello_body(sni(raw)))), b"", 443)
    assert found.host == "xn--e1afmkfd.xn--p1ai"


def test_trailing_dot_and_capitals_are_normalised() -> None:
    found = recognise_tcp(records(message(hello_body(sni(b"WWW.Example.COM.")))), b"", 443)
    assert found.host == "www.example.com"


def test_name_with_a_nul_is_shown_with_it() -> None:
    found = recognise_tcp(records(message(hello_body(sni(b"good.example\x00.evil.example")))), b"", 443)
    assert (found.protocol, found.host) == ("tls", "good.example\\x00.evil.example")


def test_encrypted_client_hello_is_noticed() -> None:
    body = hello_body(sni(b"cloudflare-ech.com") + extension(0xFE0D, b"\x00" * 20))
    found = recognise_tcp(records(message(body)), b"", 443)
    assert found.ech
    assert not found.esni
    assert not recognise_tcp(openssl_hello("a.example"), b"", 443).ech


def test_the_encrypted_server_name_before_it_is_something_else() -> None:
    found = recognise_tcp(records(message(hello_body(extension(0xFFCE, b"\x00" * 20)))), b"", 443)
    assert (found.protocol, found.host, found.esni, found.ech) == ("tls", None, True, False)
    assert not recognise_tcp(openssl_hello("a.example"), b"", 443).esni


def test_dot_by_port_and_by_alpn_and_doh_by_name() -> None:
    assert recognise_tcp(openssl_hello("dns.example"), b"", 853).protocol == "dot"
    assert recognise_tcp(openssl_hello("dns.example", ["dot"]), b"", 8443).protocol == "dot"
    assert recognise_tcp(openssl_hello("dns.google", ["h2"]), b"", 443).protocol == "doh"
    for name, protocol in (("doh-2.seby.io", "doh"), ("fi.doh.dns.snopyta.org", "doh"), ("www.dohnut.example", "tls")):
        assert recognise_tcp(openssl_hello(name, ["h2"]), b"", 443).protocol == protocol
    assert recognise_tcp(openssl_hello("mail.google.com", ["h2"]), b"", 443).protocol == "tls"


def test_ja4_of_the_specification() -> None:
    """The worked example of FoxIO's JA4.md."""
    ciphers: tuple[int, ...] = (
        0x2A2A,
        0x1301,
        0x1302,
        0x1303,
        0xC02B,
        0xC02F,
        0xC02C,
        0xC030,
        0xCCA9,
        0xCCA8,
        0xC013,
        0xC014,
    )
    ciphers += (0x009C, 0x009D, 0x002F, 0x0035)
    signatures = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
    packed = struct.pack("!H8H", 16, *signatures)
    order: tuple[int, ...] = (
        0x1A1A,
        0x001B,
        0x0000,
        0x0033,
        0x0010,
        0x4469,
        0x0017,
        0x002D,
        0x000D,
        0x0005,
        0x0023,
        0x0012,
    )
    order += (0x002B, 0xFF01, 0x000B, 0x000A, 0x0015, 0x2A2A)
    bodies = {
        0x0000: sni(b"example.com")[4:],
        0x0010: b"\x00\x0c\x02h2\x08http/1.1",
        0x000D: packed,
        0x002B: b"\x06\x3a\x3a\x03\x04\x03\x03",
    }
    body = hello_body(b"".join(extension(kind, bodies.get(kind, b"")) for kind in order), ciphers)
    assert ja4(body, "t") == "t13d1516h2_8daaf6152771_e5627efa2ab1"
    assert recognise_tcp(records(message(body)), b"", 443).ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("first", "shown"), [(b"h2", "h2"), (b"a", "aa"), (b"", "00"), (b"\xab", "ab"), (b"0\xab", "3b"), (b"ab\x00", "60")]
)
def test_ja4_alpn_characters(first: bytes, shown: str) -> None:
    alpn = bytes((len(first),)) + first
    body = hello_body(extension(16, struct.pack("!H", len(alpn)) + alpn))
    fingerprint = ja4(body, "t")
    assert fingerprint is not None
    assert fingerprint.split("_")[0] == f"t12i0201{shown}"


def test_ja4_without_extensions_or_ciphers_is_zeros() -> None:
    assert ja4(hello_body(b"", ()), "t") == "t12i000000_000000000000_000000000000"
    assert ja4(hello_body(b"", version=0x0300), "t") == "ts3i020000_" + ja4(hello_body(b""), "t")[11:]  # type: ignore[index]


def test_sslv2_framed_hello_is_tls_without_a_name() -> None:
    ciphers = bytes.fromhex("00003500002f00000a")
    body = b"\x01\x03\x01" + struct.pack("!HHH", len(ciphers), 0, 16) + ciphers + bytes(16)
    found = recognise_tcp(struct.pack("!H", 0x8000 | len(body)) + body, b"", 443)
    assert (found.protocol, found.versions) == ("tls", (0x0301,))


def test_a_stream_that_begins_in_its_middle_is_still_tls() -> None:
    assert recognise_tcp(b"\x17\x03\x03\x00\x40" + bytes(64), b"", 443).protocol == "tls"


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x02\x01\x00\x05\x01",
        b"\x16\x03\x01\x00\x00\x01",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x03\x01\x00\x10\x02",
    ],
)
def test_wrong_record_headers_are_not_tls(junk: bytes) -> None:
    assert recognise_tcp(junk + bytes(64), b"", 443).protocol != "tls"


def test_lengths_that_lie_end_in_no_name_not_in_an_error() -> None:
    whole = bytearray(openssl_hello("www.example.org"))
    for index in range(5, len(whole)):
        for value in (0x00, 0x7F, 0xFF):
            bent = bytes(whole[:index]) + bytes((value,)) + bytes(whole[index + 1 :])
            found = recognise_tcp(bent, b"", 443)
            assert found.protocol in ("tls", "unknown", "fet", "obfs4")
            assert found.ja4 is None or len(found.ja4) == 36
