"""Datagrams through a relay of SOCKS 5 (RFC 1928 §7) are judged by whom they are for and by what is in them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from quic_initials import crypto, hello, seal
from scapy.all import DNS, DNSQR, DNSRR, IP, UDP, Ether
from scapy_traffic import datagram, inspected, question
from wire import CLIENT_MAC, FOREIGN, SERVER_MAC, SUBSCRIBER, engine, rule

from shutdownlab.inspection.engine import Side
from shutdownlab.inspection.recognition import Tolerance, installed_recognisers, udp_session

pytestmark = pytest.mark.skipif(
    "ike" not in installed_recognisers().protocols, reason="this environment has no such recognisers"
)

BLOCKED = "[{name: it, when: {name_suffix: blocked.example}, verdict: drop}]"
RELAY = 1081


def by_address(port: int = 53, address: tuple[int, ...] = (8, 8, 8, 8)) -> bytes:
    return b"\0\0\0\1" + bytes(address) + port.to_bytes(2, "big")


def by_name(name: bytes, port: int = 53) -> bytes:
    return b"\0\0\0\3" + bytes((len(name),)) + name + port.to_bytes(2, "big")


BY_V6 = b"\0\0\0\4\x20\1\x0d\xb8" + bytes(11) + b"\1\0\x35"
HIDDEN = {
    "a question to an address": by_address() + question("www.blocked.example"),
    "a question to an address of IPv6": BY_V6 + question("www.blocked.example"),
    "a question to a name": by_name(b"dns.example") + question("www.blocked.example"),
    "whatever is for a name": by_name(b"www.blocked.example", 9000) + b"?",
    "QUIC": by_address(443) + seal(crypto(0, hello(b"www.blocked.example"))),
    "a question through another relay": by_address(RELAY) + by_address() + question("www.blocked.example"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_relay_carries_is_found_where_the_profile_looks_there(tmp_path: Path, name: str) -> None:
    for frames in (
        [datagram(HIDDEN[name], RELAY)],
        [datagram(by_address() + question("fine.example"), RELAY), datagram(HIDDEN[name], RELAY)],
        [datagram(by_address(9000) + b"?", RELAY)] * 40 + [datagram(HIDDEN[name], RELAY)],
    ):
        [record] = inspected(tmp_path, frames, BLOCKED)
        assert (record["host"], record["rule"]) == ("www.blocked.example", "it")
        [record] = inspected(tmp_path, frames, BLOCKED, "naive")
        assert (record["protocol"], record["host"], record["rule"]) == ("socks", None, None)


def test_what_a_relay_carries_to_others_is_not_what_one_of_them_gets(tmp_path: Path) -> None:
    frames = [datagram(by_address(port) + b"\1" * 20, RELAY) for port in (9000, 9001)]
    [record] = inspected(tmp_path, frames, BLOCKED)
    assert (record["protocol"], record["host"], record["rule"]) == ("socks", "8.8.8.8", None)


def test_a_relays_answers_are_of_whom_it_asked(tmp_path: Path) -> None:
    answer = DNS(id=1, qr=1, qd=DNSQR(qname="fine.example"), an=DNSRR(rrname="fine.example", rdata="203.0.113.9"))
    rules = "[{name: it, when: {answer: 203.0.113.9}, verdict: drop}]"
    for header in (by_address(), by_name(b"dns.example")):
        frames = [
            datagram(header + question("fine.example"), RELAY),
            datagram(by_address() + bytes(answer), RELAY, client=False),
        ]
        assert inspected(tmp_path, frames, rules)[0]["rule"] == "it"


def sent(data: bytes) -> bytes:
    source, target = (".".join(map(str, address)) for address in (SUBSCRIBER, FOREIGN))
    frame = Ether(src=CLIENT_MAC, dst=SERVER_MAC) / IP(src=source, dst=target) / UDP(sport=5000, dport=RELAY) / data
    return bytes(frame)


def test_one_blocked_end_of_a_relay_stays_blocked_and_the_others_open() -> None:
    box = engine("perfect", rule("drop", name_suffix="blocked.example"))
    fine, name = sent(by_address(443, (1, 1, 1, 1)) + b"\x40" * 30), by_name(b"www.blocked.example", 443)
    assert box.process(fine, Side.INSIDE, 0.0).forward
    outcome = box.process(sent(name + b"\x40" * 30), Side.INSIDE, 0.1)
    assert not outcome.forward
    assert outcome.decision is not None
    assert outcome.decision.flow_rule is None
    assert box.process(fine, Side.INSIDE, 0.2).forward
    quic = by_address(443) + seal(crypto(0, hello(b"www.blocked.example")))
    assert not box.process(sent(quic), Side.INSIDE, 0.3).forward
    assert not box.process(sent(by_address(443) + b"\x40" * 30), Side.INSIDE, 0.4).forward
    assert box.process(fine, Side.INSIDE, 0.5).forward


def test_the_forged_answer_comes_through_the_relay_too() -> None:
    box = engine("perfect", rule({"action": "dns", "addresses": ["192.0.2.99"]}, name_suffix="blocked.example"))
    outcome = box.process(sent(by_address() + question("www.blocked.example", ident=77)), Side.INSIDE, 0.0)
    assert not outcome.forward
    [injection] = outcome.inject
    data = bytes(Ether(injection.frame)[UDP].payload)
    assert data[: len(by_address())] == by_address()
    answer = DNS(data[len(by_address()) :])
    assert (answer.id, answer.an[0].rdata) == (77, "192.0.2.99")


@pytest.mark.parametrize(
    "datagrams",
    [
        [struct.pack(">III", number, 0x65AABBCC, number) + bytes(50) for number in range(1, 9)],  # iperf's counter
        [by_address(9000) + b"?"],  # one alone, of which nothing else is known
        [by_address(0) + b"??"] * 3,
        [by_address(53, (0, 0, 0, 32)) + b"??"] * 3,
        [by_address(53, (239, 1, 1, 1)) + b"??"] * 3,
        [by_name(b"a b.example") + b"??"] * 3,
        [by_address(9000)] * 3,
        [b"\0\0\0\2" + bytes(range(20))] * 3,
    ],
)
def test_what_only_begins_like_a_relays_datagram_is_none(datagrams: list[bytes]) -> None:
    session = udp_session(Tolerance(proxies=True))
    for data in datagrams:
        assert session.feed(data, True, 5001).protocol != "socks"


def test_a_piece_of_a_datagram_is_named_and_not_read() -> None:
    session = udp_session(Tolerance(proxies=True))
    piece = bytearray(by_address() + question("www.blocked.example"))
    piece[2] = 0x82  # the second and last, of which the first is missing
    found = [session.feed(bytes(piece), True, RELAY) for _ in range(2)][-1]
    assert (found.protocol, found.host) == ("socks", "8.8.8.8")


def test_a_relay_within_ever_more_relays_and_noise_behind_a_header_do_no_harm() -> None:
    deep = by_address(RELAY) * 6000 + question("www.blocked.example")
    assert udp_session(Tolerance(proxies=True)).feed(deep, True, RELAY).protocol in {"socks", "unknown"}
    chance = random.Random(1)
    session = udp_session(Tolerance(proxies=True))
    for port in range(1, 2000):
        session.feed(by_address(port) + chance.randbytes(chance.randrange(1, 60)), chance.random() < 0.5, RELAY)
