"""What is asked of a proxy, and what is said behind it, is read where the profile looks there.

The clients' bytes are curl 7.88.1's, recorded.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from scapy.all import wrpcap
from scapy_traffic import TcpTraffic, http_request, inspected
from test_inside import ANSWER, HELLO

from shutdownlab.inspection.capture import open_capture
from shutdownlab.inspection.offline import OfflineInspection
from shutdownlab.inspection.policy import load_policy
from shutdownlab.inspection.profile import load_profile, shipped_profile
from shutdownlab.inspection.recognition import Tolerance, installed_recognisers

pytestmark = pytest.mark.skipif(
    "socks" not in installed_recognisers().protocols, reason="this environment has no such recognisers"
)

BY_NAME = "[{name: it, when: {name_suffix: blocked.example}, verdict: drop}]"
BY_OTHER_NAME = "[{name: it, when: {name_suffix: other.example}, verdict: drop}]"
OFFER, OFFER_PASSWORD, PASSWORD = b"\5\2\0\1", b"\5\3\0\1\2", b"\1\2me\6secret"
BY_DOMAIN = b"\5\1\0\3\x13www.blocked.example\1\xbb"
BY_ADDRESS = b"\5\1\0\1\xc0\0\2\x09\1\xbb"
BY_V6 = b"\5\1\0\4\x20\1\x0d\xb8" + bytes(11) + b"\1\1\xbb"
AGREED = b"\5\0\0\1\0\0\0\0\0\0"
SOCKS_4 = b"\4\1\0P\xc0\0\2\x09\0"
SOCKS_4A = b"\4\1\0P\0\0\0\1\0www.blocked.example\0"
AGREED_4 = b"\0\x5a\0\0\0\0\0\0"
CONNECT = b"CONNECT www.blocked.example:443 HTTP/1.1\r\nHost: www.blocked.example:443\r\n\r\n"
FIRST_VERSION = b"PROXY TCP4 127.0.0.1 127.0.0.1 43528 59841\r\n"
SECOND_VERSION = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes((10, 0, 0, 1, 192, 0, 2, 1)) + b"\x9c\x40\1\xbb"

Turns = tuple[bytes, ...]
ASKED: dict[str, tuple[Turns, str, str | None]] = {
    "SOCKS 5, a name": ((OFFER, b"\5\0", BY_DOMAIN, AGREED), "socks", "www.blocked.example"),
    "SOCKS 5 with a password": (
        (OFFER_PASSWORD, b"\5\2", PASSWORD, b"\1\0", BY_DOMAIN, AGREED),
        "socks",
        "www.blocked.example",
    ),
    "SOCKS 5, an address": ((OFFER, b"\5\0", BY_ADDRESS, AGREED), "socks", "192.0.2.9"),
    "SOCKS 5, an address of IPv6": ((OFFER, b"\5\0", BY_V6, AGREED), "socks", "2001:db8::1"),
    "SOCKS 4": ((SOCKS_4, AGREED_4), "socks", "192.0.2.9"),
    "SOCKS 4 with a user's name": ((SOCKS_4[:-1] + b"me\0", AGREED_4), "socks", "192.0.2.9"),
    "SOCKS 4a": ((SOCKS_4A, AGREED_4), "socks", "www.blocked.example"),
    "CONNECT": ((CONNECT, b"HTTP/1.1 200 Connection established\r\n\r\n"), "http", "www.blocked.example"),
    "the PROXY protocol, version 1": ((FIRST_VERSION,), "proxy-protocol", None),
    "the PROXY protocol, version 1, of whom nothing is known": ((b"PROXY UNKNOWN\r\n",), "proxy-protocol", None),
    "the PROXY protocol, version 2": ((SECOND_VERSION,), "proxy-protocol", None),
    "the PROXY protocol, version 2, by itself": (
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",),
        "proxy-protocol",
        None,
    ),
}
"""What client and proxy say in turn, the client first; what it is, and which name is asked for."""


def asking(turns: Turns) -> TcpTraffic:
    traffic = TcpTraffic(dport=1080)
    for turn, said in enumerate(turns):
        traffic.says(said, client=turn % 2 == 0)
    return traffic


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_of_a_proxy_is_known(tmp_path: Path, name: str) -> None:
    turns, protocol, host = ASKED[name]
    [record] = inspected(tmp_path, asking(turns).frames, BY_NAME)
    assert (record["protocol"], record["host"]) == (protocol, host)
    assert record["rule"] == ("it" if host == "www.blocked.example" else None)


@pytest.mark.parametrize("name", ASKED)
def test_tls_behind_a_proxy_is_read(tmp_path: Path, name: str) -> None:
    other = HELLO.replace(b"www.blocked.example", b"web.s.other.example")
    traffic = asking(ASKED[name][0]).says(other).says(ANSWER, client=False)
    [record] = inspected(tmp_path, traffic.frames, BY_OTHER_NAME)
    assert (record["protocol"], record["host"], record["rule"]) == ("tls", "web.s.other.example", "it")


@pytest.mark.parametrize("name", ASKED)
def test_http_behind_a_proxy_is_read_in_whatever_segments(tmp_path: Path, name: str) -> None:
    turns, _, _ = ASKED[name]
    request = http_request("www.other.example")
    traffic = asking(turns).says(*[request[at : at + 7] for at in range(0, len(request), 7)])
    [record] = inspected(tmp_path, traffic.frames, BY_OTHER_NAME)
    assert (record["protocol"], record["host"], record["rule"]) == ("http", "www.other.example", "it")
    traffic = asking(turns).says(http_request("first.example") + request)
    assert inspected(tmp_path, traffic.frames, BY_OTHER_NAME)[0]["rule"] == "it"


@pytest.mark.parametrize("name", ASKED)
def test_whatever_the_segments_of_what_is_asked_are_the_name_is_found(tmp_path: Path, name: str) -> None:
    turns, protocol, host = ASKED[name]
    traffic = TcpTraffic(dport=1080)
    for turn, said in enumerate(turns):
        pieces = [said] if turn % 2 else [said[at : at + 1] for at in range(len(said))]
        traffic.says(*pieces, client=turn % 2 == 0)
    traffic.says(HELLO)
    [record] = inspected(tmp_path, traffic.frames, BY_NAME)
    assert record["rule"] == "it"
    found, asked = (protocol, host) if host == "www.blocked.example" else ("tls", "www.blocked.example")
    assert (record["protocol"], record["host"]) == (found, asked)


def test_a_header_and_the_hello_behind_it_may_share_a_segment(tmp_path: Path) -> None:
    for header in (FIRST_VERSION, SECOND_VERSION):
        [record] = inspected(tmp_path, TcpTraffic(dport=443).says(header + HELLO).frames, BY_NAME)
        assert (record["protocol"], record["rule"]) == ("tls", "it")


def test_a_proxy_within_a_proxy_is_followed(tmp_path: Path) -> None:
    turns = (*ASKED["SOCKS 5, an address"][0], *ASKED["CONNECT"][0], *ASKED["SOCKS 4"][0])
    [record] = inspected(tmp_path, asking(turns).says(http_request("www.other.example")).frames, BY_OTHER_NAME)
    assert record["rule"] == "it"


def test_the_name_that_a_proxy_says_its_client_asked_for_is_a_name(tmp_path: Path) -> None:
    name = b"www.blocked.example"
    fields = b"\1\0\2h2" + b"\2" + struct.pack("!H", len(name)) + name
    header = SECOND_VERSION[:14] + struct.pack("!H", 12 + len(fields)) + SECOND_VERSION[16:] + fields
    [record] = inspected(tmp_path, TcpTraffic(dport=443).says(header).frames, BY_NAME)
    assert (record["protocol"], record["host"], record["rule"]) == ("proxy-protocol", "www.blocked.example", "it")


def test_the_certificate_behind_a_proxys_answer_is_read_where_the_hello_has_no_name(tmp_path: Path) -> None:
    nameless = HELLO.replace(b"www.blocked.example", b"\0" * 19).replace(
        b"\0\0\0\x18\0\x16\0\0\x13", b"\xaa\xaa\0\x18\0\x16\0\0\x13"
    )
    for name in ("SOCKS 5, an address", "SOCKS 4"):
        traffic = asking(ASKED[name][0]).says(nameless).says(ANSWER, client=False)
        assert inspected(tmp_path, traffic.frames, BY_NAME)[0]["rule"] == "it", name


def test_what_nobody_knows_behind_a_proxy_leaves_the_connection_what_it_was(tmp_path: Path) -> None:
    [record] = inspected(tmp_path, asking(ASKED["SOCKS 5, a name"][0]).says(b"\0" * 40).frames)
    assert (record["protocol"], record["host"]) == ("socks", "www.blocked.example")


def test_a_rule_on_socks_itself_matches(tmp_path: Path) -> None:
    rule = "[{name: it, when: {protocol: socks}, verdict: drop}]"
    assert inspected(tmp_path, asking(ASKED["SOCKS 4a"][0]).frames, rule)[0]["rule"] == "it"
    assert inspected(tmp_path, asking(ASKED["SOCKS 4a"][0]).frames, rule, "naive")[0]["rule"] == "it"


def test_a_box_that_does_not_look_there_only_names_them() -> None:
    """Of a stream put together; one that looks at each packet by itself meets the hello as the first of a stream."""
    recognisers = installed_recognisers()
    for name, (turns, protocol, _) in ASKED.items():
        client, server = b"".join(turns[::2]) + HELLO, b"".join(turns[1::2])
        found = recognisers.tcp(client, server, 1080, Tolerance())
        assert found.protocol == protocol, name
        assert found.host == ("www.blocked.example" if protocol == "http" else None), name
        assert not found.preamble


@pytest.mark.parametrize("name", ["gfw-tls", "gfw-http", "iran-2023", "tspu-2025", "tspu-2022", "kazakhstan-sni"])
def test_no_measured_box_is_said_to_look_behind_a_proxys_request(name: str) -> None:
    assert not shipped_profile(name).parse.proxies


def test_a_profile_may_look_there_though_it_reads_but_one_message(tmp_path: Path) -> None:
    text = "format: 1\nname: box\ntitle: A box\nsources: [a test]\nprotocols: [tls]\n"
    wrpcap(str(tmp_path / "it.pcap"), asking(ASKED["SOCKS 5, an address"][0]).says(HELLO).frames)
    rules = {}
    for parse in ("", "parse: {proxies: true}\n"):
        policy = load_policy(f"format: 1\nrules: {BY_NAME}\n", "policy.yaml")
        inspection = OfflineInspection(policy, load_profile(text + parse, "box.yaml"))
        inspection.run(open_capture(tmp_path / "it.pcap"))
        [record] = inspection.records()
        rules[parse] = record["rule"]
    assert rules == {"": None, "parse: {proxies: true}\n": "it"}


def test_a_proxy_that_wants_another_proof_of_the_client_is_named(tmp_path: Path) -> None:
    kerberos = TcpTraffic(dport=1080).says(OFFER).says(b"\5\1", client=False).says(b"\1\1\0\4abcd")
    refused = TcpTraffic(dport=1080).says(OFFER).says(b"\5\xff", client=False)
    for traffic in (kerberos, refused):
        assert inspected(tmp_path, traffic.frames)[0]["protocol"] == "socks"


@pytest.mark.parametrize(
    "data",
    [
        b"\5",
        b"\5\0\1",
        b"\5\1\0\5\1\1\1\0\0\0\0\0\0",  # a reserved byte that is not 0
        b"\5\1\0\5\1\0\2" + bytes(20),  # no such kind of address
        b"\5\1\x40" + BY_DOMAIN,  # no such way
        b"\4\1\0\0\1\2\3\4\0",  # port 0
        b"\4\3\0\1\1\2\3\4\0",
        b"\4\1\0P\1\2\3\4\0more",  # before the proxy agreed
        b"PROXY TCP4 here there 1 2\r\n",
        b"PROXY me this\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04" + bytes(12),
    ],
)
def test_bytes_that_only_begin_like_a_proxys_request_are_not_one(tmp_path: Path, data: bytes) -> None:
    [record] = inspected(tmp_path, TcpTraffic(dport=1080).says(data).frames)
    assert record["protocol"] not in {"socks", "proxy-protocol"}


def test_random_streams_that_begin_like_socks_are_none() -> None:
    draw = random.Random(1)
    recognisers = installed_recognisers()
    for first in (4, 5):
        for _ in range(20_000):
            data = bytes((first, draw.randrange(1, 4))) + draw.randbytes(draw.randrange(30, 200))
            found = recognisers.tcp(data, draw.randbytes(40), 1080, Tolerance(proxies=True))
            assert found.protocol != "socks", data.hex()


@pytest.mark.parametrize("size", [7, 30])
def test_a_hello_that_does_not_wait_for_the_proxys_answer_is_read(tmp_path: Path, size: int) -> None:
    stream = (
        b"CONNECT fine.example:443 HTTP/1.1\r\nHost: fine.example\r\nProxy-Authorization: Basic eDp5\r\n\r\n" + HELLO
    )
    traffic = TcpTraffic(dport=3128).says(*[stream[at : at + size] for at in range(0, len(stream), size)])
    [record] = inspected(tmp_path, traffic.frames, BY_NAME)
    assert (record["protocol"], record["host"], record["rule"]) == ("tls", "www.blocked.example", "it")


@pytest.mark.parametrize("size", [7, 1400])
@pytest.mark.parametrize("name", ["SOCKS 4", "SOCKS 4a"])
@pytest.mark.parametrize("follows", [HELLO, http_request("www.blocked.example")], ids=["TLS", "HTTP"])
def test_what_a_client_of_socks_4_sends_before_its_answer_is_read(
    tmp_path: Path, name: str, size: int, follows: bytes
) -> None:
    stream = ASKED[name][0][0].replace(b"www.blocked.example", b"www.another.example") + follows
    traffic = TcpTraffic(dport=1080).says(*[stream[at : at + size] for at in range(0, len(stream), size)])
    [record] = inspected(tmp_path, traffic.frames, BY_NAME)
    assert (record["host"], record["rule"]) == ("www.blocked.example", "it")
