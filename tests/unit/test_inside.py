"""What hides inside something else is found where the profile looks there, and is else named for what it is."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from scapy.all import GRE, IP, TCP, UDP, VXLAN, Ether, IPv6, Raw
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPHeader
from scapy.layers.ppp import PPP
from scapy_traffic import CLIENT, SERVER, TcpTraffic, datagram, http_request, inspected

from shutdownlab.inspection.recognition import installed_recognisers

pytestmark = pytest.mark.skipif(
    not {"smtp", "gtp"} <= set(installed_recognisers().protocols),
    reason="this environment was made before these recognisers were: run `make setup`",
)

BLOCKED = "[{name: it, when: {name_suffix: blocked.example}, verdict: drop}]"
CARRIER, CORE = "172.16.0.1", "172.16.0.2"


def handshake(name: str, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> tuple[bytes, bytes]:
    """What a real client and a real server say first: a ClientHello for `name`, and the answer with a certificate."""
    authority = trustme.CA()
    server_context, client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server_context)
    authority.configure_trust(client_context)
    client_context.maximum_version = newest
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = to_server.read()
    to_server.write(hello)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return hello, to_client.read()


HELLO, ANSWER = handshake("www.blocked.example")

# -- tunnels -----------------------------------------------------------------------------------------------------------


def pptp(frame: bytes) -> bytes:
    """Enhanced GRE: a key, whose first half is the payload's length, and a sequence number."""
    return b"\x30\x01\x88\x0b" + len(frame).to_bytes(2, "big") + bytes(6) + frame


TUNNELS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "GTP-U": ("gtp", lambda inner: UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7) / inner[IP]),
    "GTP-U with a sequence number": (
        "gtp",
        lambda inner: UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7, S=1, seq=9) / inner[IP],
    ),
    "VXLAN": ("vxlan", lambda inner: UDP(sport=50000, dport=4789) / VXLAN(vni=5, flags="Instance") / inner),
    "Geneve": ("geneve", lambda inner: UDP(sport=50000, dport=6081) / GENEVE(vni=5, proto=0x6558) / inner),
    "GRE": ("gre", lambda inner: GRE(proto=0x0800) / inner[IP]),
    "GRE with a key": ("gre", lambda inner: GRE(proto=0x0800, key_present=1, key=3) / inner[IP]),
    "PPTP": ("gre", lambda inner: Raw(pptp(bytes(PPP() / inner[IP])))),
}


def carried(wrap: Callable[[Any], Any], frames: list[Any]) -> list[Any]:
    """The same frames inside a tunnel between two routers, each way."""
    found = []
    for frame in frames:
        ends = (CARRIER, CORE) if frame[IP].src == CLIENT else (CORE, CARRIER)
        outer = IP(src=ends[0], dst=ends[1])
        packet = wrap(frame)
        if not isinstance(packet, UDP):
            outer.proto = 47
        found.append(Ether() / outer / packet)
    return found


@pytest.mark.parametrize("name", TUNNELS)
def test_a_name_in_a_tunnel_is_found_by_a_box_that_looks_inside(tmp_path: Path, name: str) -> None:
    called, wrap = TUNNELS[name]
    frames = carried(wrap, TcpTraffic(dport=443).says(HELLO).frames)
    records = inspected(tmp_path, frames, BLOCKED)
    assert [(r["src"], r["dst"], r["host"], r["rule"]) for r in records] == [
        (CLIENT, SERVER, "www.blocked.example", "it")
    ]
    records = inspected(tmp_path, frames, BLOCKED, "naive")
    assert {record["protocol"] for record in records} == {called}
    assert all(record["verdict"] == "pass" for record in records)


def test_tunnels_are_undone_up_to_the_profiles_depth(tmp_path: Path) -> None:
    wrap = TUNNELS["GTP-U"][1]
    frames = TcpTraffic().says(http_request("blocked.example")).frames
    for depth, rule in enumerate(["it"] * 5 + [None]):
        last = inspected(tmp_path, frames, BLOCKED)[-1]
        assert last["rule"] == rule, depth
        frames = [Ether() / IP(src=CARRIER, dst=CORE) / wrap(frame) for frame in frames]


def test_teredo_and_control_messages_are_named(tmp_path: Path) -> None:
    inner = IPv6(src="2001:0:1::1", dst="2001:db8::1") / UDP(sport=1, dport=53) / Raw(b"x" * 30)
    [record] = inspected(tmp_path, [datagram(bytes(inner), 3544)], profile="naive")
    assert record["protocol"] == "teredo"
    echo = bytes(GTPHeader(gtp_type=1, teid=0) / Raw(b"\x0e\0"))
    assert inspected(tmp_path, [datagram(echo, 2123)])[0]["protocol"] == "gtp"
    assert inspected(tmp_path, [datagram(echo, 2152)])[0]["protocol"] == "gtp"


def test_noise_on_a_tunnels_port_is_no_tunnel(tmp_path: Path) -> None:
    for port in (2152, 4789, 6081, 3544, 1701):
        [record] = inspected(tmp_path, [datagram(b"\xff" * 60, port)])
        assert record["protocol"] == "unknown"


# -- TLS inside another protocol ---------------------------------------------------------------------------------------

XMPP = b"<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client'>"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
LDAP_ANSWER = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0"
MYSQL = b"\x20\0\0\x01" + b"\x85\xae\xff\x19" + b"\0\0\0\x01" + b"\x2d" + bytes(23)
STARTS: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "smtp": (25, (b"220 mx ESMTP\r\n", b"EHLO me\r\n", b"250 STARTTLS\r\n", b"STARTTLS\r\n", b"220 Go\r\n")),
    "imap": (143, (b"* OK IMAP4\r\n", b"a1 CAPABILITY\r\n", b"a1 OK\r\n", b"a2 STARTTLS\r\n", b"a2 OK\r\n")),
    "pop3": (110, (b"+OK ready\r\n", b"CAPA\r\n", b"+OK\r\n.\r\n", b"STLS\r\n", b"+OK\r\n")),
    "ftp": (21, (b"220 ready\r\n", b"AUTH TLS\r\n", b"234 go\r\n")),
    "nntp": (119, (b"200 ready\r\n", b"CAPABILITIES\r\n", b"101\r\n.\r\n", b"STARTTLS\r\n", b"382 go\r\n")),
    "irc": (6667, (b"", b"CAP LS 302\r\nNICK me\r\n", b":x CAP * LS :tls\r\n", b"STARTTLS\r\n", b":x 670 * :go\r\n")),
    "managesieve": (4190, (b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK\r\n', b"STARTTLS\r\n", b"OK\r\n")),
    "xmpp": (5222, (b"", XMPP, b"<stream:features><starttls/></stream:features>", STARTTLS, b"<proceed/>")),
    "postgresql": (5432, (b"", b"\0\0\0\x08\x04\xd2\x16\x2f", b"S")),
    "ldap": (389, (b"", LDAP, LDAP_ANSWER)),
    "mysql": (3306, (b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60), MYSQL)),
}
"""What the server and the client say in turn, the server first."""


@pytest.mark.parametrize("name", STARTS)
def test_tls_after_starttls_is_read_where_the_profile_says_so(tmp_path: Path, name: str) -> None:
    port, said = STARTS[name]
    traffic = TcpTraffic(dport=port)
    for turn, text in enumerate(said):
        if text:
            traffic.says(text, client=turn % 2 == 1)
    before = list(traffic.frames)
    traffic.says(HELLO).says(ANSWER[:1400], ANSWER[1400:], client=False)
    [record] = inspected(tmp_path, traffic.frames, BLOCKED)
    assert (record["protocol"], record["host"], record["rule"]) == ("tls", "www.blocked.example", "it")
    [record] = inspected(tmp_path, traffic.frames, BLOCKED, "naive")
    assert (record["protocol"], record["verdict"]) == (name, "pass")
    [record] = inspected(tmp_path, before)
    assert record["protocol"] == name


def test_the_certificate_behind_starttls_is_read_where_the_hello_has_no_name(tmp_path: Path) -> None:
    nameless = HELLO.replace(b"www.blocked.example", b"\0" * 19).replace(
        b"\0\0\0\x18\0\x16\0\0\x13", b"\xaa\xaa\0\x18\0\x16\0\0\x13"
    )
    traffic = TcpTraffic(dport=25).says(b"220 mx\r\n", client=False).says(b"EHLO me\r\n", b"STARTTLS\r\n", nameless)
    traffic.says(ANSWER, client=False)
    assert inspected(tmp_path, traffic.frames, BLOCKED)[0]["rule"] == "it"


# -- one half alone ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joined_late", [False, True])
def test_tls_is_known_by_the_servers_half_alone(tmp_path: Path, joined_late: bool) -> None:
    frames = TcpTraffic(dport=443).says(ANSWER[:1000], ANSWER[1000:], client=False).frames
    theirs = [frame for frame in frames if frame[IP].src == SERVER][1 if joined_late else 0 :]
    [record] = inspected(tmp_path, theirs, BLOCKED)
    assert (record["protocol"], record["rule"]) == ("tls", "it")
    assert (record["src"], record["dport"]) == (CLIENT, 443)


def test_http_is_known_by_its_response_alone(tmp_path: Path) -> None:
    frames = TcpTraffic(dport=8080).says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", client=False).frames
    theirs = [frame for frame in frames if frame[IP].src == SERVER]
    assert inspected(tmp_path, theirs)[0]["protocol"] == "http"
    assert inspected(tmp_path, theirs[1:])[0]["protocol"] == "http"


# -- STUN, WireGuard, names --------------------------------------------------------------------------------------------


def stun(kind: int = 1, attributes: bytes = b"") -> bytes:
    return (
        kind.to_bytes(2, "big")
        + len(attributes).to_bytes(2, "big")
        + b"\x21\x12\xa4\x42"
        + bytes(range(12))
        + attributes
    )


def test_stun_over_tcp_is_known_in_either_framing(tmp_path: Path) -> None:
    message = stun(attributes=b"\x80\x22\0\4test")
    framed = len(message).to_bytes(2, "big") + message
    for parts in ([message], [framed], [framed[:2], framed[2:]], [framed + framed]):
        [record] = inspected(tmp_path, TcpTraffic(dport=3478).says(*parts).frames)
        assert record["protocol"] == "stun"


@pytest.mark.parametrize(
    "message", [stun(3, b"\x40\0\0\4abcd"), stun(1, b"\x40\2\0\1a\0\0\0"), stun(0x0800, b"\0\x16\0\4abcd")]
)
def test_whatsapps_calls_are_the_apps(tmp_path: Path, message: bytes) -> None:
    [record] = inspected(tmp_path, [datagram(stun(), 3478), datagram(message, 3478)])
    assert (record["protocol"], record["app"]) == ("whatsapp-call", "whatsapp")


@pytest.mark.parametrize("client", [True, False])
def test_wireguard_joined_late_is_known_by_either_port(tmp_path: Path, client: bool) -> None:
    data = b"\4\0\0\0" + bytes(range(1, 61))
    [record] = inspected(tmp_path, [datagram(data, 51820, 40000, client=client)])
    assert record["protocol"] == "wireguard"


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        (b"a\xff\xfe.blocked.example", "a\\xff\\xfe.blocked.example"),
        (b"a\x01b.blocked.example", "a\\x01b.blocked.example"),
        (b"a b.blocked.example", "a\\x20b.blocked.example"),
    ],
)
def test_a_name_with_bytes_that_are_no_text_matches_and_is_escaped_in_print(
    tmp_path: Path, host: bytes, shown: str
) -> None:
    [record] = inspected(tmp_path, TcpTraffic().says(http_request(host)).frames, BLOCKED)
    assert (record["host"], record["rule"]) == (shown, "it")


def test_of_several_syn_acks_the_one_that_the_client_acknowledged_counts(tmp_path: Path) -> None:
    traffic = TcpTraffic(server_isn=500)
    true_ack = traffic.frames.pop()
    decoys = [
        Ether() / IP(src=SERVER, dst=CLIENT) / TCP(sport=80, dport=40000, flags="SA", seq=seq, ack=101)
        for seq in (9 << 20, 7)
    ]
    traffic.frames[1:1] = decoys[:1]
    traffic.frames += [decoys[1], true_ack]
    traffic.says(http_request("blocked.example"))
    [record] = inspected(tmp_path, traffic.frames, BLOCKED)
    assert record["rule"] == "it"
    word = BLOCKED.replace("name_suffix: blocked.example", "keyword: falun")
    traffic.says(b"HTTP/1.1 200 OK\r\n\r\nfa", b"lun", client=False)
    assert inspected(tmp_path, traffic.frames, word)[0]["rule"] == "it"


# -- what only looks alike ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b'CONNECT {"verbose":false,"pedantic":false,"lang":"go","name":"a","protocol":1}\r\nPING\r\n',
        b"0033git-upload-pack /project.git\0host=blocked.example\0",
        b"git-upload-pack '/project.git'\0host=blocked.example\0",
        b"POST it to me\n",
        b"CONNECT me\r\n",
    ],
)
def test_what_only_begins_like_a_request_is_not_http(tmp_path: Path, text: bytes) -> None:
    for parts in ([text], [text[:12], text[12:]]):
        [record] = inspected(tmp_path, TcpTraffic(dport=4222).says(*parts).frames, BLOCKED)
        assert (record["protocol"], record["verdict"]) == ("unknown", "pass")


def test_a_true_connect_is_http_still(tmp_path: Path) -> None:
    for target in (b"www.blocked.example:443", b"[2001:db8::1]:443"):
        request = b"CONNECT " + target + b" HTTP/1.1\r\n\r\n"
        assert inspected(tmp_path, TcpTraffic().says(request).frames)[0]["protocol"] == "http"


def rtp(sequence: int, stamp: int) -> bytes:
    return b"\x80\x60" + sequence.to_bytes(2, "big") + (stamp % (1 << 32)).to_bytes(4, "big") + b"abcd" + bytes(40)


@pytest.mark.parametrize(
    ("stamps", "protocol"),
    [
        ((160, 320), "rtp"),
        ((3000, 3000), "rtp"),
        ((9000, 3000), "rtp"),
        (((1 << 32) - 80, (1 << 32) + 80), "rtp"),
        ((160, 0x40000000), "unknown"),
        ((0x80000000, 160), "unknown"),
    ],
)
def test_rtp_takes_timestamps_that_fit(tmp_path: Path, stamps: tuple[int, int], protocol: str) -> None:
    frames = [datagram(rtp(number, stamp), 5004) for number, stamp in enumerate(stamps, start=7)]
    assert inspected(tmp_path, frames)[0]["protocol"] == protocol
