"""The offload header: tags, lengths on the line, and frames put in another's place."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from shutdownlab.box.replacement import replaced
from shutdownlab.system.vnet_header import HEADER, NO_OFFLOAD, line_bytes, with_tag


def unfinished(
    frame: bytes, start: int, offset: int, *, kind: int = 0, header_length: int = 0, segment: int = 0
) -> bytes:
    return struct.pack("=BBHHHH", 1, kind, header_length, segment, start, offset) + frame


def finish(raw: bytes) -> bytes:
    """Do what the card does: sum from the start, put the complement into the field."""
    flags, _, _, _, start, offset = struct.unpack_from("=BBHHHH", raw)
    frame = bytearray(raw[HEADER:])
    if flags & 1:
        data = bytes(frame[start:]) + b"\0" * (len(frame[start:]) % 2)
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        frame[start + offset : start + offset + 2] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(frame)


def frame_of(*layers: Packet) -> Packet:
    packet: Packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in layers:
        packet = packet / layer
    return packet


V4, V6 = IP(src="192.0.2.1", dst="198.51.100.1"), IPv6(src="2001:db8::1", dst="2001:db8::2")
TRANSPORTS = {"tcp": (TCP(sport=1000, dport=443, flags="PA"), 16), "udp": (UDP(sport=1000, dport=443), 6)}


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize(("network", "start"), [(V4, 34), (V6, 54)])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("payload", [b"a shorter one", b"exactly as long", b"one that is a good deal longer"])
def test_a_replacement_with_the_same_headers_gets_a_valid_checksum(
    tagged: bool, network: Packet, start: int, transport: str, payload: bytes
) -> None:
    layer, offset = TRANSPORTS[transport]
    tag = (Dot1Q(vlan=5),) if tagged else ()
    start += 4 * tagged
    original = bytes(frame_of(*tag, network, layer, Raw(b"exactly as long")))
    wanted = bytes(frame_of(*tag, network, layer, Raw(payload)))
    field = slice(start + offset, start + offset + 2)
    edited = wanted[: field.start] + b"\xab\xcd" + wanted[field.stop :]  # whatever an engine leaves there
    assert finish(replaced(unfinished(original, start, offset), edited)) == wanted


def test_a_replacement_for_an_offloaded_frame_is_still_cut() -> None:
    frame = bytes(frame_of(V4, TCP(flags="PA"), Raw(bytes(5000))))
    raw = unfinished(frame, 34, 16, kind=1, header_length=54, segment=1448)
    assert replaced(raw, frame)[:HEADER] == raw[:HEADER]


@pytest.mark.parametrize(
    "replacement",
    [
        bytes(frame_of(IP(src="192.0.2.1", dst="198.51.100.1", options=b"\1\1\1\1"), TCP())),
        bytes(frame_of(V6, TCP())),
        bytes(frame_of(V4, UDP())),
        bytes(frame_of(V4, TCP()))[:40],
        bytes(60),
    ],
    ids=["IP options", "other version", "other protocol", "cut short", "no IP"],
)
def test_a_replacement_with_other_headers_is_sent_as_it_is(replacement: bytes) -> None:
    raw = unfinished(bytes(frame_of(V4, TCP(), Raw(b"x" * 100))), 34, 16)
    assert replaced(raw, replacement) == NO_OFFLOAD + replacement


def test_a_replacement_for_a_complete_frame_is_sent_as_it_is() -> None:
    frame = bytes(frame_of(V4, TCP(), Raw(b"x")))
    assert replaced(NO_OFFLOAD + frame, frame) == NO_OFFLOAD + frame


def test_a_tag_goes_after_the_addresses_and_moves_the_checksum() -> None:
    packet = frame_of(V4, TCP(), Raw(b"payload"))
    raw = unfinished(bytes(packet), 34, 16, kind=1, header_length=54, segment=3)
    tagged = with_tag(raw, 0x8100 << 16 | 5)
    assert struct.unpack_from("=BBHHHH", tagged) == (1, 1, 58, 3, 38, 16)
    assert tagged[HEADER:] == bytes(frame_of(Dot1Q(vlan=5), V4, TCP(), Raw(b"payload")))


def test_a_complete_frame_stays_one_when_it_is_tagged() -> None:
    assert with_tag(NO_OFFLOAD + bytes(64), 0x8100 << 16 | 5)[:HEADER] == NO_OFFLOAD


@pytest.mark.parametrize(
    ("kind", "payload", "segment", "expected"),
    [
        (0, 3000, 0, 3054),
        (1, 3000, 1000, 3000 + 3 * 54),
        (1, 3001, 1000, 3001 + 4 * 54),
        (1, 500, 1000, 554),
        (1, 0, 9, 54),
    ],
)
def test_the_bytes_on_the_line_count_headers_once_a_segment(
    kind: int, payload: int, segment: int, expected: int
) -> None:
    assert line_bytes(unfinished(bytes(54 + payload), 34, 16, kind=kind, header_length=54, segment=segment)) == expected
