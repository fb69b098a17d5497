"""Server certificate names from real handshakes of this Python's OpenSSL."""

from __future__ import annotations

import ssl

import pytest
import trustme

from shutdownlab.inspection.recognition import recognise_tcp


def handshake(names: list[str], maximum: ssl.TLSVersion, common: str | None = None) -> tuple[bytes, bytes]:
    """What client and server put on the wire up to the server's first flight."""
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, common_name=common).configure_cert(server_context)
    server_context.maximum_version = maximum
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=names[0])
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = to_server.read()
    to_server.write(hello)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return hello, to_client.read()


def test_names_are_read_in_tls_1_2() -> None:
    hello, flight = handshake(["a.example", "*.B.example"], ssl.TLSVersion.TLSv1_2, "cn.example")
    found = recognise_tcp(hello, flight, 443)
    assert found.certificate_names == ("cn.example", "a.example", "*.b.example")
    assert not found.more_server


def test_nothing_is_read_and_nothing_awaited_in_tls_1_3() -> None:
    hello, flight = handshake(["a.example"], ssl.TLSVersion.TLSv1_3)
    found = recognise_tcp(hello, flight, 443)
    assert found.certificate_names == ()
    assert not found.more_server


def test_a_cut_flight_is_awaited() -> None:
    hello, flight = handshake(["a.example"], ssl.TLSVersion.TLSv1_2)
    assert recognise_tcp(hello, b"", 443).more_server
    complete = 0
    for length in range(1, len(flight)):
        found = recognise_tcp(hello, flight[:length], 443)
        assert not found.more
        assert found.more_server == (not found.certificate_names)
        complete += bool(found.certificate_names)
    assert complete


def test_an_alert_instead_of_a_hello_ends_the_wait() -> None:
    hello, _ = handshake(["a.example"], ssl.TLSVersion.TLSv1_2)
    assert not recognise_tcp(hello, b"\x15\x03\x03\x00\x02\x02\x28", 443).more_server


def test_damaged_certificates_give_fewer_names_not_errors() -> None:
    hello, flight = handshake(["a.example", "b.example"], ssl.TLSVersion.TLSv1_2)
    for index in range(len(flight)):
        bent = flight[:index] + bytes((flight[index] ^ 0x81,)) + flight[index + 1 :]
        assert len(recognise_tcp(hello, bent, 443).certificate_names) <= 4
