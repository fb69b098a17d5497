"""What one flow of datagrams carries for several: TURN's channels, SOCKS 5's fragments, QUIC connections in turn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from quic_initials import crypto, hello, seal
from scapy_traffic import TcpTraffic, datagram, http_request, inspected, question

from shutdownlab.inspection.recognition import installed_recognisers

pytestmark = pytest.mark.skipif(
    "fou" not in installed_recognisers().protocols,
    reason="this environment was made before these recognisers were: run `make setup`",
)

BLOCKED = "[{name: it, when: {name_suffix: blocked.example}, verdict: drop}]"
COOKIE = b"\x21\x12\xa4\x42"
RELAY = 3478


def stun(kind: int, *attributes: tuple[int, bytes]) -> bytes:
    """A STUN message (RFC 8489 §5) with these attributes, each padded to four bytes."""
    body = b"".join(
        number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
        for number, value in attributes
    )
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + bytes(range(12)) + body


def peer(port: int, last: int = 7) -> tuple[int, bytes]:
    """XOR-PEER-ADDRESS (RFC 8489 §14.2) of 192.0.2.x."""
    address = bytes(a ^ b for a, b in zip((192, 0, 2, last), COOKIE, strict=True))
    return 0x0012, b"\0\1" + (port ^ 0x2112).to_bytes(2, "big") + address


def send(data: bytes, port: int, last: int = 7) -> bytes:
    return stun(0x0016, peer(port, last), (0x0013, data))


def channel(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


ALLOCATE = datagram(stun(0x0003, (0x0019, b"\x11\0\0\0")), RELAY)
BIND = datagram(stun(0x0009, (0x000C, b"\x40\1\0\0"), peer(443)), RELAY)
QUERY = question("www.blocked.example")
INITIAL = seal(crypto(0, hello(b"www.blocked.example")))


@pytest.mark.parametrize(
    ("frames", "protocol"),
    [
        ([ALLOCATE, datagram(send(QUERY, 53), RELAY)], "dns"),
        ([ALLOCATE, BIND, datagram(channel(0x4001, INITIAL), RELAY)], "quic"),
        ([ALLOCATE, BIND, datagram(channel(0x4001, INITIAL) + bytes(3), RELAY)], "quic"),
        ([ALLOCATE, datagram(send(question("a.example"), 53), RELAY), datagram(send(INITIAL, 443, 9), RELAY)], "quic"),
        ([datagram(send(QUERY, 53), RELAY)], "dns"),
    ],
)
def test_what_a_relay_of_calls_carries_is_seen_by_a_box_that_looks_into_proxies(
    tmp_path: Path, frames: list[Any], protocol: str
) -> None:
    [record] = inspected(tmp_path, frames, BLOCKED)
    assert (record["protocol"], record["host"], record["rule"]) == (protocol, "www.blocked.example", "it")
    assert record["packet"] == len(frames)
    [record] = inspected(tmp_path, frames, BLOCKED, "naive")
    assert (record["protocol"], record["rule"]) == ("stun", None)


def test_a_relay_whose_contents_nobody_knows_is_called_stun(tmp_path: Path) -> None:
    noise = [datagram(channel(0x4001, os.urandom(60)), RELAY) for _ in range(3)]
    rule = "[{name: it, when: {protocol: stun}, verdict: drop}]"
    [record] = inspected(tmp_path, [ALLOCATE, BIND, *noise])
    assert record["protocol"] == "stun"
    [record] = inspected(tmp_path, [ALLOCATE, BIND, datagram(channel(0x4001, INITIAL), RELAY)], rule)
    assert (record["rule"], record["packet"]) == ("it", 1)


@pytest.mark.parametrize("data", [channel(0x4001, QUERY), stun(0x0001) + QUERY, send(b"", 53), stun(0x0016, peer(53))])
def test_a_channel_that_nobody_asked_for_carries_nothing(tmp_path: Path, data: bytes) -> None:
    [record] = inspected(tmp_path, [datagram(data, RELAY)], BLOCKED)
    assert (record["host"], record["rule"]) == (None, None)


def test_a_connection_that_a_relay_of_calls_hands_over_is_read_as_the_peers(tmp_path: Path) -> None:
    bind = stun(0x000B, (0x002A, b"\0\0\0\1"))
    for asked in ((bind,), (stun(0x0001), bind)):
        traffic = TcpTraffic(dport=RELAY).says(*asked).says(stun(0x010B), client=False)
        traffic.says(http_request("www.blocked.example"))
        [record] = inspected(tmp_path, traffic.frames, BLOCKED)
        assert (record["protocol"], record["host"], record["rule"]) == ("http", "www.blocked.example", "it")
        [record] = inspected(tmp_path, traffic.frames, BLOCKED, "naive")
        assert (record["protocol"], record["rule"]) == ("stun", None)


def socks(number: int, data: bytes) -> Any:
    return datagram(b"\0\0" + bytes((number,)) + b"\1\xc0\0\2\7\0\x35" + data, 1080)


def test_a_datagram_in_fragments_of_a_relay_is_joined(tmp_path: Path) -> None:
    parts = [socks(1, QUERY[:9]), socks(2, QUERY[9:20]), socks(0x83, QUERY[20:])]
    [record] = inspected(tmp_path, parts, BLOCKED)
    assert (record["protocol"], record["host"], record["rule"], record["packet"]) == (
        "dns",
        "www.blocked.example",
        "it",
        3,
    )
    for lost in range(3):
        [record] = inspected(tmp_path, [part for index, part in enumerate(parts) if index != lost], BLOCKED)
        assert (record["protocol"], record["rule"]) == ("socks", None)
    [record] = inspected(tmp_path, [parts[0], socks(0x81, QUERY)], BLOCKED)
    assert record["rule"] == "it", "a fragment with a lower number begins anew (RFC 1928 §7)"


def initial(name: bytes, connection: bytes, *, keyed: bytes | None = None, part: slice = slice(None)) -> Any:
    frames = crypto(part.start or 0, hello(name)[part])
    return datagram(seal(frames, connection=connection, keyed=keyed or connection), 443)


FIRST, SECOND = b"first123", b"second12"


def test_every_quic_connection_between_two_ports_is_judged(tmp_path: Path) -> None:
    short = [datagram(b"\x45" + os.urandom(40), 443, client=side) for side in (False, True)] * 30
    cut = len(hello(b"blocked.example")) // 2
    for second in (
        [initial(b"blocked.example", SECOND)],
        [
            initial(b"blocked.example", SECOND, part=slice(0, cut)),
            initial(b"blocked.example", SECOND, part=slice(cut, 999)),
        ],
        [initial(b"b.example", SECOND), *short, initial(b"blocked.example", b"third123")],
    ):
        frames = [initial(b"a.example", FIRST), *short, *second, *short]
        [record] = inspected(tmp_path, frames, BLOCKED)
        assert (record["host"], record["rule"]) == ("blocked.example", "it")
        assert record["packet"] == 61 + len(second)


def test_a_quic_connection_that_goes_on_is_no_other_one(tmp_path: Path) -> None:
    again = initial(b"blocked.example", b"server12", keyed=FIRST)
    rules = "[{name: first, when: {name_exact: a.example}, verdict: pass}, {name: it, when: {}, verdict: drop}]"
    [record] = inspected(tmp_path, [initial(b"a.example", FIRST), again, initial(b"a.example", FIRST)], rules)
    assert (record["host"], record["verdict"], record["rule"]) == ("a.example", "pass", "first")
    # A box that judges one message a connection is past it by then.
    frames = [initial(b"a.example", FIRST), initial(b"blocked.example", SECOND)]
    assert inspected(tmp_path, frames, BLOCKED, "naive")[0]["rule"] is None
