"""The routers on a link: what they count down, whom they answer, and what they leave alone. Packets made with scapy."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from shutdownlab.network.delay_line import DelayedLink, LinkDirection
from shutdownlab.network.hops import Hops
from shutdownlab.system.vnet_header import HEADER, NEEDS_CSUM, NO_OFFLOAD

ROUTERS = [(ip_address(f"100.64.0.{last}"), ip_address(f"2001:db8::{last}")) for last in (131, 130, 129)]
LOCAL = (ip_network("100.64.4.0/24"), ip_network("2001:db8:4::/64"))
HOME, GATEWAY, ABROAD = "100.64.4.10", "100.64.4.1", "31.13.86.51"
HOME6, GATEWAY6, ABROAD6 = "2001:db8:4::10", "2001:db8:4::1", "2a03:2880::1"


def hops() -> Hops:
    return Hops(ROUTERS, LOCAL)


def raw(packet: Packet) -> bytes:
    return NO_OFFLOAD + bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)


def read(frame: bytes | None) -> Packet:
    assert frame is not None
    return Ether(frame[HEADER:])


def checked(packet: Packet) -> Packet:
    """A packet all of whose checksums are what scapy works out for it."""
    again = packet.copy()
    for layer in (IP, TCP, UDP, ICMP, ICMPv6TimeExceeded):
        if layer in again:
            again[layer].fields.pop("chksum" if layer is not ICMPv6TimeExceeded else "cksum")
    assert bytes(again) == bytes(packet)
    return packet


def test_each_router_takes_one_off_the_ttl_and_the_checksum_goes_with_it() -> None:
    for ttl in (4, 64, 128, 255):
        carried = hops().carry(raw(IP(src=HOME, dst=ABROAD, ttl=ttl) / TCP() / b"hello"), back=False)
        assert carried.answer is None
        assert checked(read(carried.onwards))[IP].ttl == ttl - 3
    sent = IPv6(src=HOME6, dst=ABROAD6, hlim=64) / UDP() / b"hello"
    onwards = read(hops().carry(raw(sent), back=False).onwards)
    assert (onwards[IPv6].hlim, bytes(onwards[UDP])) == (61, bytes(sent[UDP]))


@pytest.mark.parametrize("ttl", [1, 2, 3])
@pytest.mark.parametrize("back", [False, True])
def test_the_router_where_a_ttl_ends_says_so_in_its_own_name(ttl: int, back: bool) -> None:
    ends = (ABROAD, HOME) if back else (HOME, ABROAD)
    sent = raw(IP(src=ends[0], dst=ends[1], ttl=ttl, id=4711) / UDP(sport=40000, dport=33434) / bytes(range(40)))
    carried = hops().carry(sent, back=back)
    assert (carried.onwards, carried.at) == (None, ttl)
    answer = checked(read(carried.answer))
    order = ROUTERS[::-1] if back else ROUTERS
    assert (answer[IP].src, answer[IP].dst) == (str(order[ttl - 1][0]), ends[0])
    assert answer[IP].ttl == 64 - (ttl - 1), "routers on the way back count down as well"
    assert (answer[ICMP].type, answer[ICMP].code) == (11, 0)
    assert (answer.src, answer.dst) == ("02:00:00:00:00:02", "02:00:00:00:00:01")
    quoted = answer["IP in ICMP"]
    assert (quoted.id, quoted.ttl, quoted["UDP in ICMP"].dport) == (4711, 1, 33434)
    assert bytes(answer[Raw]) == bytes(range(40)), "as much of it as there is room for (RFC 1812)"


def test_over_ipv6_it_is_the_hop_limit_and_icmpv6() -> None:
    carried = hops().carry(raw(IPv6(src=HOME6, dst=ABROAD6, hlim=2) / TCP(seq=99) / bytes(3000)), back=False)
    answer = checked(read(carried.answer))
    assert (answer[IPv6].src, answer[IPv6].dst, answer[IPv6].hlim) == ("2001:db8::130", HOME6, 63)
    assert answer[ICMPv6TimeExceeded].code == 0
    assert len(answer[IPv6]) == 1280, "no longer than the smallest MTU (RFC 4443)"


def test_the_link_s_own_ends_multicast_and_arp_pass_as_over_a_cable() -> None:
    for packet in (
        IP(src=GATEWAY, dst=HOME, ttl=1) / TCP(dport=179),
        IPv6(src=GATEWAY6, dst=HOME6, hlim=1) / TCP(dport=179),
        IP(src=HOME, dst="224.0.0.251", ttl=1) / UDP(),
        IPv6(src=HOME6, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=GATEWAY6),
        IPv6(src="fe80::1", dst=HOME6, hlim=255) / ICMPv6ND_NS(tgt=HOME6),
        IPv6(src=HOME6, dst="fe80::1", hlim=255) / ICMPv6ND_NS(tgt="fe80::1"),
        ARP(psrc=HOME, pdst=GATEWAY),
    ):
        assert hops().carry(raw(packet), back=False) == (raw(packet), None, 0)


def test_nobody_is_told_of_the_end_of_an_icmp_error_or_of_a_later_fragment() -> None:
    quoted = IP(src=ABROAD, dst=HOME) / UDP()
    for packet in (
        IP(src=HOME, dst=ABROAD, ttl=1) / ICMP(type=3, code=3) / quoted,
        IP(src=HOME, dst=ABROAD, ttl=1, frag=100) / bytes(100),
    ):
        assert hops().carry(raw(packet), back=False)[:2] == (None, None)
    for asked in (
        IP(src=HOME, dst=ABROAD, ttl=1) / ICMP(),
        IP(src=HOME, dst=ABROAD, ttl=1, flags="MF") / UDP() / bytes(8),
        IPv6(src=HOME6, dst=ABROAD6, hlim=1) / ICMPv6EchoRequest(),
    ):
        assert hops().carry(raw(asked), back=False).answer is not None, "an echo and a first fragment are told of"


def test_what_is_quoted_has_the_checksum_that_was_left_to_the_card() -> None:
    whole = IP(src=HOME, dst=ABROAD, ttl=1) / UDP(sport=40000, dport=33434) / b"probe"
    complete = raw(whole)
    frame = bytearray(complete[HEADER:])
    pseudo = sum(struct.unpack("!6H", frame[26:34] + bytes((0, 17)) + frame[38:40]))
    frame[40:42] = ((pseudo & 0xFFFF) + (pseudo >> 16)).to_bytes(2, "big")
    unfinished = struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, 34, 6) + bytes(frame)
    assert hops().carry(unfinished, back=False).answer == hops().carry(complete, back=False).answer


def test_an_answer_of_a_near_router_does_not_wait_for_what_comes_from_far() -> None:
    line = LinkDirection(DelayedLink("test", None, "a", "b", 10), "s")
    line.accept(NO_OFFLOAD + b"far", 1.0)
    line.answer(NO_OFFLOAD + b"near", 1.005)
    assert line.due == 1.005
    assert line.release(1.006) == [NO_OFFLOAD + b"near"]
    assert line.due == pytest.approx(1.010)
    assert line.release(1.011) == [NO_OFFLOAD + b"far"]
    assert line.due is None
