"""QUIC Initials from aioquic, the RFCs' vectors, and CRYPTO streams cut in ways no library cuts them."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from client_hellos import extension, hello_body, message, sni
from quic_initials import CID, crypto, hello, seal

from shutdownlab.inspection.recognisers.quic_protection import V1, V2, client_keys
from shutdownlab.inspection.recognition import Recognition, Tolerance, udp_session


def feed(*datagrams: bytes) -> Recognition:
    recogniser = udp_session()
    found = Recognition()
    for datagram in datagrams:
        found = recogniser.feed(datagram, True, 443)
    return found


def test_keys_of_rfc_9001_and_rfc_9369() -> None:
    assert client_keys(V1, CID) == (
        bytes.fromhex("1f369613dd76d5467730efcbe3b1a22d"),
        bytes.fromhex("fa044b2f42a3fd3b46fb255c"),
        bytes.fromhex("9f50449e04a0e810283a1e9933adedd2"),
    )
    assert client_keys(V2, CID) == (
        bytes.fromhex("8b1a0bc121284290a29e0971b5cd045d"),
        bytes.fromhex("91f73e2351d8fa91660e909f"),
        bytes.fromhex("45b95e15235d6f45a6b19cbcb0294ba9"),
    )


@pytest.mark.parametrize("version", [V1, V2])
def test_aioquic_client_is_opened(version: int) -> None:
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="www.Example.org")
    configuration.supported_versions = [version]
    configuration.original_version = version
    connection = QuicConnection(configuration=configuration)
    connection.connect(("192.0.2.1", 443), now=0.0)
    datagrams = [data for data, _ in connection.datagrams_to_send(now=0.0)]
    found = feed(*datagrams)
    assert (found.protocol, found.host, found.alpn) == ("quic", "www.example.org", ("h3",))
    assert found.versions == (version,)
    assert not found.more
    assert (found.ja4 or "").startswith("q13d")


@pytest.mark.parametrize("version", [V1, V2])
def test_frames_in_any_order_over_several_packets(version: int) -> None:
    stream = hello()
    cuts = [0, 1, 4, 50, 51, 70, len(stream)]
    frames = [crypto(a, stream[a:b]) for a, b in pairwise(cuts)]
    for seed in range(20):
        random.Random(seed).shuffle(frames)
        packets = [seal(frame, i, version) for i, frame in enumerate(frames)]
        found = feed(*packets)
        assert (found.host, found.more) == ("quic.example", False)
        # The same, coalesced into one datagram, and all frames in one packet among PING, PADDING and ACK.
        assert feed(b"".join(packets)).host == "quic.example"
        mixed = b"\x01\x00\x00" + b"\x01".join(frames) + b"\x02\x05\x00\x00\x00"
        assert feed(seal(mixed, 7, version)).host == "quic.example"


def test_overlapping_and_repeated_frames_do_not_disturb() -> None:
    stream = hello()
    frames = crypto(30, stream[30:60]) + crypto(0, stream[:40]) + crypto(20, stream[20:]) + crypto(0, stream[:40])
    assert feed(seal(frames)).host == "quic.example"


def test_a_hello_over_two_datagrams_waits_for_the_second() -> None:
    stream = hello(extra=1500)
    recogniser = udp_session()
    first = recogniser.feed(seal(crypto(700, stream[700:])), True, 443)
    assert (first.protocol, first.host, first.more) == ("quic", None, True)
    found = recogniser.feed(seal(crypto(0, stream[:700]), 1), True, 443)
    assert (found.host, found.more, found.alpn) == ("quic.example", False, ("h3",))


def test_after_a_retry_the_new_connection_id_makes_the_keys() -> None:
    stream = hello()
    other = bytes(range(8))
    found = feed(seal(crypto(0, stream[:20])), seal(crypto(20, stream[20:]), 1, connection=other, keyed=other))
    assert found.host == "quic.example"


def test_after_the_servers_answer_the_first_keys_stay() -> None:
    stream = hello()
    found = feed(seal(crypto(0, stream[:20])), seal(crypto(20, stream[20:]), 1, connection=bytes(8), keyed=CID))
    assert found.host == "quic.example"


def test_a_client_that_goes_on_in_the_version_its_server_chose_keeps_its_first_connection_id() -> None:
    """RFC 9368, 4.1: the other version's keys, of the same connection ID."""
    stream = hello(extra=1500)
    chosen = seal(crypto(700, stream[700:]), 1, version=V2, connection=b"serverid")
    assert feed(seal(crypto(0, stream[:700])), chosen).host == "quic.example"


def test_a_packet_that_does_not_open_is_quic_without_a_name() -> None:
    packet = bytearray(seal(crypto(0, hello())))
    packet[-1] ^= 1
    found = feed(bytes(packet))
    assert (found.protocol, found.host, found.more) == ("quic", None, True)


def test_unknown_version_is_not_quic_unless_greased_and_full_sized() -> None:
    packet = bytearray(seal(crypto(0, hello())))
    packet[1:5] = b"\x1a\x2a\x3a\x4a"
    assert feed(bytes(packet)).protocol == "unknown"
    assert feed(bytes(packet) + bytes(1200)).protocol == "quic"
    packet[1:5] = b"\x01\x02\x03\x04"
    assert feed(bytes(packet) + bytes(1200)).protocol == "unknown"


def test_version_negotiation_is_quic() -> None:
    packet = b"\xc0\x00\x00\x00\x00\x08" + CID + b"\x00" + V1.to_bytes(4, "big") + V2.to_bytes(4, "big")
    assert feed(packet).protocol == "quic"


def test_dns_over_quic_and_doh_over_quic_are_variants() -> None:
    doq = message(hello_body(sni(b"dns.example") + extension(16, b"\x00\x04\x03doq")))
    assert feed(seal(crypto(0, doq))).variant == "doq"
    assert feed(seal(crypto(0, hello(b"dns.google")))).variant == "doh"


def test_google_quic_in_clear() -> None:
    values = b"old.example" + b"agent/1"
    tags = b"SNI\x00" + (11).to_bytes(4, "little") + b"UAID" + (18).to_bytes(4, "little")
    chlo = b"CHLO" + (2).to_bytes(2, "little") + b"\0\0" + tags + values
    found = feed(b"\x0d" + bytes(8) + b"Q043" + b"\x01" + bytes(12) + b"\xa0\x01\x00\x04" + chlo)
    assert (found.protocol, found.host, found.user_agent) == ("quic", "old.example", "agent/1")


def test_endless_initials_are_given_up() -> None:
    recogniser = udp_session()
    packet = seal(crypto(100, b"x" * 20))
    found = [recogniser.feed(packet, True, 443) for _ in range(40)][-1]
    assert not found.more


def test_every_cut_of_an_initial_is_harmless() -> None:
    packet = seal(crypto(0, hello()))
    for length in range(len(packet)):
        assert feed(packet[:length]).host is None


def test_google_quic_with_a_long_header() -> None:
    values = b"q46.example"
    chlo = b"CHLO" + (1).to_bytes(2, "little") + b"\0\0" + b"SNI\x00" + (11).to_bytes(4, "little") + values
    found = feed(b"\xc3Q046\x50" + bytes(8) + bytes(4) + bytes(12) + b"\xa4\x01\x00\x00\x04\x00" + chlo)
    assert (found.protocol, found.host) == ("quic", "q46.example")


def test_a_box_that_opens_one_datagram_misses_a_hello_over_two() -> None:
    stream = hello(extra=1500)
    pieces = seal(crypto(700, stream[700:])), seal(crypto(0, stream[:700]), 1)
    whole = seal(crypto(0, hello()))
    limited = udp_session(Tolerance(quic_datagrams=1))
    assert not limited.feed(pieces[0], True, 443).more
    assert limited.feed(pieces[1], True, 443).host is None
    assert udp_session(Tolerance(quic_datagrams=1)).feed(whole, True, 443).host == "quic.example"
    closed = udp_session(Tolerance(quic_datagrams=0)).feed(whole, True, 443)
    assert (closed.protocol, closed.host, closed.versions, closed.more) == ("quic", None, (V1,), False)


@pytest.mark.parametrize("version", [0xFF00001D, 0xFF00001B, 0xFF000016, 0xFACEB002, 0x54303531])
def test_drafts_and_relatives_open_with_their_own_salts(version: int) -> None:
    assert client_keys(version, CID) != client_keys(V1, CID)
    assert feed(seal(crypto(0, hello()), version=version)).host == "quic.example"
