"""STUN, DTLS, SIP, RTP and RTCP."""

from __future__ import annotations

import struct

import pytest
from client_hellos import hello_body, sni

from shutdownlab.inspection.recognition import Recognition, recognise_tcp, udp_session

COOKIE = b"\x21\x12\xa4\x42"


def udp(*payloads: bytes, port: int = 5004) -> Recognition:
    recogniser = udp_session()
    found = Recognition()
    for payload in payloads:
        found = recogniser.feed(payload, True, port)
    return found


def stun(kind: int = 1, attributes: bytes = b"", cookie: bytes = COOKIE) -> bytes:
    return struct.pack("!HH", kind, len(attributes)) + cookie + bytes(range(12)) + attributes


def test_stun_binding_and_turn_allocate() -> None:
    found = udp(stun())
    assert (found.protocol, found.method, found.more) == ("stun", "binding", True)
    software = b"agent 1\0"
    found = udp(stun(3, struct.pack("!HH", 0x8022, 8) + software))
    assert (found.method, found.user_agent) == ("allocate", "agent 1")
    assert recognise_tcp(stun(3), b"", 3478).protocol == "stun"


def test_old_stun_counts_on_its_port_only() -> None:
    old = stun(cookie=b"abcd")
    assert udp(old, port=3478).protocol == "stun"
    assert udp(old, port=5004).protocol == "unknown"


def rtp(sequence: int, source: int = 0xDECAF, kind: int = 111, size: int = 60) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, 960 * sequence & 0xFFFFFFFF, source) + b"\x5a" * size


def test_rtp_needs_two_packets_in_sequence() -> None:
    assert udp(rtp(1)).protocol == "unknown"
    assert udp(rtp(1), rtp(2)).protocol == "rtp"
    assert udp(rtp(65535), rtp(65536)).protocol == "rtp"
    assert udp(rtp(1), rtp(2, source=5)).protocol == "unknown"
    assert udp(rtp(1), rtp(900)).protocol == "unknown"


def test_media_after_stun_renames_the_flow() -> None:
    assert udp(stun(), rtp(1), rtp(2)).protocol == "rtp"


def test_rtcp_compound_and_its_encrypted_form() -> None:
    report = struct.pack("!BBHI", 0x80, 200, 6, 7) + bytes(20)
    description = struct.pack("!BBHI", 0x81, 202, 2, 7) + b"\x01\x02ab"
    assert udp(report + description).protocol == "rtcp"
    assert udp(report + b"\xee" * 30).protocol == "rtcp"
    assert udp(report[:-4]).protocol == "unknown"


def dtls_hello(body: bytes, offset: int, size: int, record: int, sequence: int = 0) -> bytes:
    piece = body[offset : offset + size]
    handshake = b"\x01" + len(body).to_bytes(3, "big") + struct.pack("!H", sequence)
    handshake += offset.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece
    return b"\x16\xfe\xff" + bytes(2) + record.to_bytes(6, "big") + struct.pack("!H", len(handshake)) + handshake


def dtls_body(name: bytes) -> bytes:
    plain = hello_body(sni(name), version=0xFEFD)
    return plain[:35] + b"\x00" + plain[35:]  # an empty cookie after the session id


def test_dtls_hello_whole_and_in_fragments_of_any_order() -> None:
    body = dtls_body(b"dtls.example")
    found = udp(dtls_hello(body, 0, 1000, 0))
    assert (found.protocol, found.host, found.more, found.versions) == ("dtls", "dtls.example", False, (0xFEFD,))
    assert (found.ja4 or "").startswith("dd2d0201")
    cut = [dtls_hello(body, 50, 1000, 1), dtls_hello(body, 0, 30, 0), dtls_hello(body, 25, 40, 2)]
    found = udp(*cut)
    assert (found.host, found.more) == ("dtls.example", False)
    assert udp(*cut[:2]).more
    assert udp(b"".join(cut)).host == "dtls.example"


@pytest.mark.parametrize("before", range(8))
def test_a_hello_in_two_datagrams_is_read_whole_after_as_many_unknown_ones_as_are_looked_at(before: int) -> None:
    body = dtls_body(b"dtls.example")
    session = udp_session()
    for number in range(before):
        assert session.feed(bytes([0xE0 + number]) * 20, True, 5004).more
    assert session.feed(dtls_hello(body, 0, 30, 0), True, 5004).more
    found = session.feed(dtls_hello(body, 25, 1000, 1), True, 5004)
    assert (found.protocol, found.host, found.more) == ("dtls", "dtls.example", False)


def test_dtls_joined_late() -> None:
    late = b"\x17\xfe\xfd\x00\x01" + bytes(6) + struct.pack("!H", 40) + b"\xaa" * 40
    found = udp(late)
    assert (found.protocol, found.more) == ("dtls", False)


@pytest.mark.parametrize(
    ("text", "method", "host"),
    [
        (b"INVITE sip:bob@Biloxi.example SIP/2.0\r\nVia: x\r\n\r\n", "INVITE", "biloxi.example"),
        (b"REGISTER sips:ss2.example:5061;transport=tls SIP/2.0\r\n\r\n", "REGISTER", "ss2.example"),
        (b"OPTIONS sip:carol@chicago.example SIP/2.0\r\n\r\n", "OPTIONS", "chicago.example"),
        (b"SIP/2.0 200 OK\r\n\r\n", "response", None),
    ],
)
def test_sip_over_udp_and_tcp(text: bytes, method: str, host: str | None) -> None:
    for found in (udp(text, port=5060), recognise_tcp(text, b"", 5060)):
        assert (found.protocol, found.method, found.host, found.more) == ("sip", method, host, False)


def test_unknown_datagrams_are_given_up_after_eight() -> None:
    recogniser = udp_session()
    found = [recogniser.feed(b"\x30\x26" + bytes(30), True, 9999) for _ in range(8)]
    assert [one.more for one in found[-2:]] == [True, False] or not found[-1].more
    assert found[-1].protocol == "unknown"
