"""Taking frames apart: every way an IP packet may be wrapped, and what is cut or false."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import CLIENT_MAC, FOREIGN, SERVER_MAC, SUBSCRIBER, client_hello, header_checksum, packed

from shutdownlab.inspection.checksum import header_checksum_good, ones_sum, transport_checksum_good
from shutdownlab.inspection.forge import ip_packet, tcp_body, udp_body
from shutdownlab.inspection.packet import decode, decode_ip

MACS = SERVER_MAC + CLIENT_MAC
SEGMENT = tcp_body(SUBSCRIBER, FOREIGN, 40000, 443, 7, 9, 0x18, 512, client_hello())
PACKET = ip_packet(SUBSCRIBER, FOREIGN, 6, SEGMENT, ttl=63, ipid=5)
V6 = (bytes.fromhex("20010db8") + bytes(11) + b"\1", bytes.fromhex("20010db8") + bytes(11) + b"\2")
SEGMENT6 = tcp_body(*V6, 40000, 443, 7, 9, 0x18, 512, b"hello")


def v6(kind: int, rest: bytes) -> bytes:
    return b"\x60\0\0\0" + packed(len(rest), 2) + bytes((kind, 61)) + V6[0] + V6[1] + rest


WRAPPED = {
    "plain": b"\x08\0" + PACKET,
    "VLAN": b"\x81\0\0\x05\x08\0" + PACKET,
    "QinQ": b"\x88\xa8\0\x05\x81\0\0\x06\x08\0" + PACKET,
    "PPPoE": b"\x88\x64\x11\0\0\1" + packed(len(PACKET) + 2, 2) + b"\0\x21" + PACKET,
    "MPLS": b"\x88\x47\0\1\0\x40\0\2\1\x40" + PACKET,
    "IP in IP": b"\x08\0" + ip_packet(FOREIGN, FOREIGN, 4, PACKET, ttl=9, ipid=1),
    "padded": b"\x08\0" + PACKET + bytes(6),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_segment_is_found_in_every_wrapping(name: str) -> None:
    packet = decode(MACS + WRAPPED[name])
    assert packet.problem is None
    assert (packet.src, packet.dst, packet.sport, packet.dport) == (SUBSCRIBER, FOREIGN, 40000, 443)
    assert (packet.seq, packet.ack, packet.flags, packet.window, packet.ttl) == (7, 9, 0x18, 512, 63)
    assert packet.data == client_hello()
    assert header_checksum_good(packet)
    assert transport_checksum_good(packet)


def test_extension_headers_of_ipv6_are_walked_to_the_segment() -> None:
    options = b"\x3c\0" + bytes(6)  # hop-by-hop, next: destination options
    destination = b"\x2b\1" + bytes(14)  # 16 bytes, next: routing
    routing = b"\x06\0" + bytes(6)
    packet = decode(MACS + b"\x86\xdd" + v6(0, options + destination + routing + SEGMENT6))
    assert packet.problem is None
    assert (packet.proto, packet.data) == (6, b"hello")
    assert transport_checksum_good(packet)


def test_an_authentication_header_counts_in_four_byte_words() -> None:
    packet = decode(MACS + b"\x86\xdd" + v6(51, b"\x06\4" + bytes(22) + SEGMENT6))
    assert packet.data == b"hello"


def test_an_atomic_fragment_is_no_fragment() -> None:
    packet = decode(MACS + b"\x86\xdd" + v6(44, b"\x06\0\0\0\0\0\0\x07" + SEGMENT6))
    assert not packet.is_fragment
    assert packet.data == b"hello"


def test_a_later_fragment_is_not_read_as_a_header() -> None:
    packet = decode(MACS + b"\x86\xdd" + v6(44, b"\x06\0\0\x08\0\0\0\x07" + b"x" * 40))
    assert packet.is_fragment
    assert (packet.fragment_offset, packet.fragment_id, packet.sport) == (8, 7, 0)


def test_a_capture_that_was_cut_still_knows_the_length_on_the_wire() -> None:
    packet = decode((MACS + WRAPPED["plain"])[:80])
    assert packet.problem is None
    assert len(packet.data) == 80 - 54
    assert packet.data_length == len(client_hello())
    assert transport_checksum_good(packet), "cannot be known"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        MACS,
        MACS + b"\x08\x06" + bytes(28),
        MACS + b"\x08\0" + PACKET[:19],
        MACS + b"\x08\0" + b"\x41" + PACKET[1:],
        MACS + b"\x08\0" + PACKET[:20] + SEGMENT[:19],
        MACS + b"\x08\0" + PACKET[:20] + SEGMENT[:12] + b"\x10" + SEGMENT[13:],
        MACS + b"\x86\xdd" + v6(0, b"\x06\xff" + bytes(14)),
        MACS + b"\x81\0" * 20,
        MACS + b"\x88\x47" + bytes(40),
    ],
)
def test_a_packet_that_cannot_be_read_says_so(frame: bytes) -> None:
    assert decode(frame).problem is not None


@given(st.binary(max_size=120), st.sampled_from([b"\x08\0", b"\x86\xdd", b"\x81\0", b"\x88\x64", b"\x88\x47"]))
def test_no_bytes_make_decoding_raise(data: bytes, kind: bytes) -> None:
    decode(MACS + kind + data)
    decode(data)
    decode_ip(b"\x60" + data, 0)


@given(st.integers(0, 255), st.integers(0, len(PACKET) - 1), st.integers(0, len(PACKET)))
def test_no_damage_makes_decoding_or_checksums_raise(value: int, at: int, cut: int) -> None:
    damaged = bytearray(PACKET)
    damaged[at] = value
    packet = decode(MACS + b"\x08\0" + bytes(damaged)[:cut])
    transport_checksum_good(packet)
    if packet.problem is None:
        assert packet.data is not None
        packet.option(2)


@given(st.binary(max_size=100))
def test_the_sum_is_the_internet_checksum_of_rfc_1071(data: bytes) -> None:
    assert ones_sum(data) ^ 0xFFFF == header_checksum(data)


def test_unfinished_checksums_are_distinguished_from_wrong_ones() -> None:
    good = bytearray(udp_body(SUBSCRIBER, FOREIGN, 1, 2, b"payload"))
    pseudo = header_checksum(SUBSCRIBER + FOREIGN + b"\0\x11" + packed(len(good), 2)) ^ 0xFFFF
    for field, believed in [(bytes(good[6:8]), True), (packed(pseudo, 2), True), (b"\0\0", True), (b"\1\1", False)]:
        good[6:8] = field
        packet = decode(MACS + b"\x08\0" + ip_packet(SUBSCRIBER, FOREIGN, 17, bytes(good), ttl=1, ipid=1))
        assert transport_checksum_good(packet) is believed


def test_options_of_tcp_are_found_and_malformed_ones_end_the_search() -> None:
    def with_options(options: bytes) -> bytes:
        segment = bytearray(SEGMENT[:20])
        segment[12] = (20 + len(options)) // 4 << 4
        return MACS + b"\x08\0" + ip_packet(SUBSCRIBER, FOREIGN, 6, bytes(segment) + options, ttl=1, ipid=1)

    assert decode(with_options(b"\1\1\x1c\4\x80\x0f\0\0")).option(28) == b"\x80\x0f"
    assert decode(with_options(b"\1\x02\0\0")).option(28) is None
    assert decode(with_options(b"\1\1\1\x1c")).option(28) is None
