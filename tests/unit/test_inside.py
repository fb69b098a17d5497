"""What hides inside something else is found where the profile looks there, and is else named for what it is."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from scapy.all import AH, GRE, IP, LLC, SNAP, TCP, UDP, VXLAN, Dot1Q, Dot11, Ether, IPv6, Raw
from scapy.contrib.erspan import ERSPAN_II
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header, GTPHeader
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.ppp import PPP, PPPoE
from scapy_traffic import CLIENT, SERVER, TcpTraffic, datagram, http_request, inspected

from shutdownlab.inspection.recognition import installed_recognisers

pytestmark = pytest.mark.skipif(
    not {"smtp", "gtp", "rdp", "capwap"} <= set(installed_recognisers().protocols),
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
    "GTP-U with Ethernet": (
        "gtp",
        lambda inner: UDP(sport=2152, dport=2152) / GTP_U_Header(teid=7, gtp_type=255) / Raw(bytes(inner)),
    ),
    "VXLAN on another port": (
        "vxlan",
        lambda inner: UDP(sport=50000, dport=48879) / VXLAN(vni=5, flags="Instance") / Raw(bytes(inner)),
    ),
    "VXLAN": ("vxlan", lambda inner: UDP(sport=50000, dport=4789) / VXLAN(vni=5, flags="Instance") / inner),
    "Geneve": ("geneve", lambda inner: UDP(sport=50000, dport=6081) / GENEVE(vni=5, proto=0x6558) / inner),
    "GRE": ("gre", lambda inner: GRE(proto=0x0800) / inner[IP]),
    "GRE with a key": ("gre", lambda inner: GRE(proto=0x0800, key_present=1, key=3) / inner[IP]),
    "PPTP": ("gre", lambda inner: Raw(pptp(bytes(PPP() / inner[IP])))),
    "GRE with a tag": ("gre", lambda inner: GRE(proto=0x8100) / Dot1Q(vlan=5) / inner[IP]),
    "GRE with a label": ("gre", lambda inner: GRE(proto=0x8847) / labelled(inner[IP])),
    "GRE over UDP": ("gre", lambda inner: UDP(sport=50000, dport=4754) / GRE(proto=0x0800) / inner[IP]),
    "mirrored frames": ("gre", lambda inner: GRE(proto=0x88BE) / inner),
    "mirrored frames, version 2": (
        "gre",
        lambda inner: GRE(proto=0x88BE, seqnum_present=1, sequence_number=1) / ERSPAN_II() / inner,
    ),
    "mirrored frames, version 3": (
        "gre",
        lambda inner: GRE(proto=0x22EB, seqnum_present=1, sequence_number=1) / Raw(b"\x20" + bytes(11)) / inner,
    ),
    "VXLAN with a group's policy": (
        "vxlan",
        lambda inner: UDP(sport=50000, dport=4789) / VXLAN(vni=5, flags="Instance+G", gpid=9) / inner,
    ),
    "VXLAN-GPE": (
        "vxlan",
        lambda inner: UDP(sport=50000, dport=4790) / Raw(b"\x0c\0\0\1\0\0\5\0") / inner[IP],
    ),
    "GUE": ("gue", lambda inner: UDP(sport=50000, dport=6080) / Raw(b"\0\4\0\0") / inner[IP]),
    "GUE without a header": ("gue", lambda inner: UDP(sport=50000, dport=6080) / inner[IP]),
    "LISP": ("lisp", lambda inner: UDP(sport=50000, dport=4341) / Raw(bytes(8)) / inner[IP]),
    "MPLS over UDP": ("mpls", lambda inner: UDP(sport=50000, dport=6635) / labelled(inner[IP])),
    "MPLS over IP": ("mpls", lambda inner: labelled(inner[IP])),
    "EtherIP": ("etherip", lambda inner: Raw(b"\x30\0") / inner),
    "TZSP": ("tzsp", lambda inner: UDP(sport=50000, dport=37008) / Raw(b"\1\0\0\1\x0a\1\5\0\1") / inner),
    "L2TP": ("l2tp", lambda inner: l2tp(b"\0\2\0\1\0\2", PPP() / inner[IP])),
    "L2TP with all that may be there": (
        "l2tp",
        lambda inner: l2tp(
            b"\x4a\2" + (len(inner[IP]) + 18).to_bytes(2, "big") + bytes(8) + b"\0\2ab", PPP() / inner[IP]
        ),
    ),
    "L2TP without PPP's address": ("l2tp", lambda inner: l2tp(b"\0\2\0\1\0\2\x21", inner[IP])),
    "L2TP, version 3": ("l2tp", lambda inner: l2tp(b"\0\3\0\0\0\0\0\7", inner)),
    "L2TP, version 3, with a cookie": ("l2tp", lambda inner: l2tp(b"\0\3\0\0\0\0\0\7cookie!!", inner)),
    "L2TP over IP": ("l2tp", lambda inner: Raw(b"\0\0\0\7" + bytes(inner))),
    "GTP, version 0": (
        "gtp",
        lambda inner: (
            UDP(sport=3386, dport=3386)
            / Raw(b"\x1e\xff" + len(inner[IP]).to_bytes(2, "big") + bytes(4) + b"\xff" * 4 + bytes(8))
            / inner[IP]
        ),
    ),
    "LISP with a frame": ("lisp", lambda inner: UDP(sport=50000, dport=4341) / Raw(b"\4\0\0\3" + bytes(4)) / inner),
    "VXLAN-GPE with a service header": (
        "vxlan",
        lambda inner: (
            UDP(sport=50000, dport=4790) / Raw(b"\x0c\0\0\4\0\0\5\0") / NSH(mdtype=2, nextproto=1) / inner[IP]
        ),
    ),
    "CAPWAP": ("capwap", lambda inner: capwap(inner)),
    "CAPWAP of radio frames": ("capwap", lambda inner: capwap(radio(inner), radio=True)),
    "CAPWAP of radio frames, bytes swapped": (
        "capwap",
        lambda inner: capwap(Raw(b"\1\x08" + bytes(radio(inner))[2:]), radio=True),
    ),
    "IP in UDP": ("fou", lambda inner: UDP(sport=50000, dport=5555) / inner[IP]),
    "GRE with a service header": ("gre", lambda inner: GRE(proto=0x894F) / NSH(mdtype=2, nextproto=3) / inner),
    "GRE of a cache": ("gre", lambda inner: GRE(proto=0x883E) / inner[IP]),
    "GRE of a cache, with its header": ("gre", lambda inner: GRE(proto=0x883E) / Raw(bytes(4)) / inner[IP]),
    "GRE with PPP": ("gre", lambda inner: GRE(proto=0x880B) / PPP() / inner[IP]),
    "EoIP": ("gre", lambda inner: Raw(b"\x20\1\x64\0" + len(inner).to_bytes(2, "big") + b"\7\0") / inner),
    "IPsec that does not encrypt": ("esp", lambda inner: authenticated(inner, 12)),
    "IPsec that does not encrypt, with a longer check": ("esp", lambda inner: authenticated(inner, 16)),
    "a frame behind segment routing": ("ethernet", lambda inner: Raw(bytes(inner))),
}
OVER_IP = {
    "MPLS over IP": 137,
    "EtherIP": 97,
    "L2TP over IP": 115,
    "IPsec that does not encrypt": 50,
    "IPsec that does not encrypt, with a longer check": 50,
    "a frame behind segment routing": 143,
}
"""The numbers of those that are neither over UDP nor GRE."""


def capwap(inner: Any, *, radio: bool = False) -> Any:
    """A data packet between an access point and its controller (RFC 5415 §4.3), two words long."""
    return UDP(sport=5247, dport=5247) / Raw(b"\0\x10" + (b"\3" if radio else b"\2") + bytes(5)) / inner


def radio(inner: Any) -> Any:
    """A data frame of IEEE 802.11 from a station."""
    return Dot11(type=2, subtype=0, FCfield=1) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x800) / inner[IP]


def authenticated(inner: Any, check: int) -> Any:
    """ESP with a null cipher: the packet, padding 1, 2 …, its length, the next header, the integrity check."""
    data = bytes(inner[IP])
    padding = bytes(range(1, (-len(data) - 2) % 4 + 1))
    return Raw(b"\0\0\x10\1\0\0\0\1" + data + padding + bytes((len(padding), 4)) + b"\x5a" * check)


def labelled(inner: Any) -> Any:
    return MPLS(label=5, s=0) / MPLS(label=7, s=1) / inner


def l2tp(header: bytes, inner: Any) -> Any:
    return UDP(sport=1701, dport=1701) / Raw(header) / inner


def carried(wrap: Callable[[Any], Any], frames: list[Any], number: int = 47) -> list[Any]:
    """The same frames inside a tunnel between two routers, each way."""
    found = []
    for frame in frames:
        ends = (CARRIER, CORE) if frame[IP].src == CLIENT else (CORE, CARRIER)
        outer = IP(src=ends[0], dst=ends[1])
        packet = wrap(frame)
        if not isinstance(packet, UDP):
            outer.proto = number
        found.append(Ether() / outer / packet)
    return found


@pytest.mark.parametrize("name", TUNNELS)
def test_a_name_in_a_tunnel_is_found_by_a_box_that_looks_inside(tmp_path: Path, name: str) -> None:
    called, wrap = TUNNELS[name]
    frames = carried(wrap, TcpTraffic(dport=443).says(HELLO).frames, OVER_IP.get(name, 47))
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


LAYERS: dict[str, Callable[[Any], Any]] = {
    "an authentication header": lambda f: (
        Ether() / IP(src=f[IP].src, dst=f[IP].dst) / AH(nh=6, payloadlen=4, icv=bytes(12)) / f[TCP]
    ),
    "an authentication header and IP": lambda f: (
        Ether() / IP(src=CARRIER, dst=CORE) / AH(nh=4, payloadlen=4, icv=bytes(12)) / f[IP]
    ),
    "PPPoE with a short protocol": lambda f: Ether() / PPPoE(sessionid=1) / Raw(b"\x21") / f[IP],
    "802.2 with SNAP": lambda f: (
        Ether(type=len(f[IP]) + 8) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x800) / f[IP]
    ),
    "a provider's frame": lambda f: Ether(type=0x88E7) / Raw(b"\0\0\0\7") / f,
    "a service header": lambda f: Ether(type=0x894F) / NSH(mdtype=1) / f[IP],
    "a service header and a frame": lambda f: Ether(type=0x894F) / NSH(mdtype=2, nextproto=3) / f,
    "MACsec that only authenticates": lambda f: (
        Ether(type=0x88E5) / Raw(b"\0\0\0\0\0\1\x08\0") / f[IP] / Raw(b"i" * 16)
    ),
    "MACsec with its channel": lambda f: Ether(type=0x88E5) / Raw(b"\x20\0\0\0\0\1" + bytes(8) + b"\x08\0") / f[IP],
    "Cisco's metadata": lambda f: Ether(type=0x8909) / Raw(b"\1\1\0\1\0\x64\x08\0") / f[IP],
    "a VN-Tag": lambda f: Ether(type=0x8926) / Raw(bytes(4) + b"\x08\0") / f[IP],
    "an E-Tag": lambda f: Ether(type=0x893F) / Raw(bytes(6) + b"\x08\0") / f[IP],
    "a tag of redundant lines": lambda f: Ether(type=0x892F) / Raw(b"\0\x34\0\1\x08\0") / f[IP],
    "a fabric's header": lambda f: Ether(type=0x8903) / Raw(b"\0\x60") / f,
    "TRILL": lambda f: Ether(type=0x22F3) / Raw(b"\0\x3f\0\1\0\2") / f,
    "TRILL with options": lambda f: Ether(type=0x22F3) / Raw(b"\0\x7f\0\1\0\2" + bytes(4)) / f,
    "a mesh's header": lambda f: Ether(type=0x4305) / Raw(b"\x40\x0f\x32\0" + bytes(6)) / f,
    "labels and a frame": lambda f: Ether() / labelled(Raw(bytes(f))),
    "labels, a control word and a frame": lambda f: Ether() / labelled(Raw(bytes(4) + bytes(f))),
    "labels and a frame to an address that begins with zeros": lambda f: Ether() / labelled(Raw(b"\0" + bytes(f)[1:])),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_stands_before_a_packet_on_a_line_is_passed_over(tmp_path: Path, name: str) -> None:
    frames = [LAYERS[name](frame) for frame in TcpTraffic(dport=443).says(HELLO).frames]
    [record] = inspected(tmp_path, frames, BLOCKED, "naive")
    assert (record["src"], record["host"], record["rule"]) == (CLIENT, "www.blocked.example", "it")


IKE = bytes(range(1, 9)) + bytes(8) + b"\x21\x20\x22\x08" + bytes(4) + (128).to_bytes(4, "big") + bytes(100)


@pytest.mark.parametrize("data", [IKE, IKE[:17] + b"\x10\2" + IKE[19:]])
def test_the_handshake_of_ipsec_is_named_on_both_its_ports(tmp_path: Path, data: bytes) -> None:
    rule = "[{name: it, when: {protocol: ike}, verdict: drop}]"
    for frame in (datagram(data, 500, 500), datagram(bytes(4) + data, 4500, 40000)):
        [record] = inspected(tmp_path, [frame], rule, "naive")
        assert (record["protocol"], record["rule"]) == ("ike", "it")
    for frame in (datagram(data[:-1], 500), datagram(data, 501), datagram(data, 4500)):
        [record] = inspected(tmp_path, [frame], rule, "naive")
        assert (record["protocol"], record["rule"]) == ("unknown", None)


def test_ipsec_behind_a_translator_is_named_where_its_numbers_go_on(tmp_path: Path) -> None:
    def sealed(number: int, association: int = 0xC0FFEE) -> Any:
        data = association.to_bytes(4, "big") + number.to_bytes(4, "big")
        return datagram(data + bytes(range(200, 256)), 4500, 4500, client=number % 2 == 1)

    assert inspected(tmp_path, map(sealed, (7, 8, 9)))[0]["protocol"] == "esp"
    for frames in (
        map(sealed, (7, 7)),
        map(sealed, (9, 7)),
        [sealed(7), sealed(9, 0xBEEF)],
        [sealed(1, 7), sealed(3, 7)],
    ):
        assert inspected(tmp_path, frames)[0]["protocol"] == "unknown"


def test_teredo_and_control_messages_are_named(tmp_path: Path) -> None:
    inner = IPv6(src="2001:0:1::1", dst="2001:db8::1") / UDP(sport=1, dport=53) / Raw(b"x" * 30)
    [record] = inspected(tmp_path, [datagram(bytes(inner), 3544)], profile="naive")
    assert record["protocol"] == "teredo"
    echo = bytes(GTPHeader(gtp_type=1, teid=0) / Raw(b"\x0e\0"))
    assert inspected(tmp_path, [datagram(echo, 2123)])[0]["protocol"] == "gtp"
    assert inspected(tmp_path, [datagram(echo, 2152)])[0]["protocol"] == "gtp"


def test_noise_on_a_tunnels_port_is_no_tunnel(tmp_path: Path) -> None:
    for port in (2152, 4789, 4790, 6081, 3544, 1701, 6080, 4754, 6635, 4341, 37008, 500, 4500, 5247, 3386):
        for noise in (b"\xff" * 60, bytes(60), b"\x45" * 60):
            [record] = inspected(tmp_path, [datagram(noise, port)] * 3)
            assert record["protocol"] == "unknown"


@pytest.mark.parametrize("depth", [1, 3, 4, 7])
def test_ip_in_ip_is_followed_as_deep_as_the_profile_says(tmp_path: Path, depth: int) -> None:
    traffic = TcpTraffic().says(HELLO)
    frames = []
    for frame in traffic.frames:
        packet = frame[IP]
        for level in range(depth):
            packet = IP(src=f"10.8.{level}.1", dst=f"10.8.{level}.2") / packet
        frames.append(Ether() / packet)
    [record] = inspected(tmp_path, frames, BLOCKED)
    assert (record["protocol"], record["host"]) == ("tls", "www.blocked.example")


# -- TLS inside another protocol ---------------------------------------------------------------------------------------

XMPP = b"<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client'>"
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
LDAP = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + b"1.3.6.1.4.1.1466.20037"
LDAP_ANSWER = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0"
MYSQL = b"\x20\0\0\x01" + b"\x85\xae\xff\x19" + b"\0\0\0\x01" + b"\x2d" + bytes(23)
VENCRYPT = (
    *(b"RFB 003.008\n", b"\2\x13\2", b"\x13", b"\0\2", b"\0\2"),
    *(b"\0\2\0\0\1\2\0\0\1\3", b"\0\0\1\2", b"\1"),
)
"""What a VNC client and its server say in turn until TLS begins, as TigerVNC's do."""
ETHERX = b"<?xml version='1.0'?> <s:stream xmlns:s='http://etherx.jabber.org/streams' to='a.example'>"
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
    "amqp": (5672, (b"", b"AMQP\2\1\0\0", b"AMQP\2\1\0\0")),
    "mysql": (3306, (b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60), MYSQL)),
    "vnc": (5900, (b"RFB 003.008\n", *VENCRYPT)),
    "nbd": (
        10809,
        (
            b"NBDMAGICIHAVEOPT\0\3",
            b"\0\0\0\3IHAVEOPT\0\0\0\5" + bytes(4),
            b"\0\3\xe8\x89\4\5\x65\xa9\0\0\0\5\0\0\0\1" + bytes(4),
        ),
    ),
    "telnet": (23, (b"\xff\xfd\x2e", b"\xff\xfb\x2e", b"\xff\xfa\x2e\x01\xff\xf0", b"\xff\xfa\x2e\x01\xff\xf0")),
}
"""What the server and the client say in turn, the server first."""
LDAP_BIND = b"\x30\x84\0\0\0\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0"
LDAP_BOUND = b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0"
RDP = b"\3\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: mstshash=user\r\n\1\0\x08\0\3\0\0\0"
RDP_ANSWER = b"\3\0\0\x13\x0e\xd0\0\0\x124\0\2\x1f\x08\0\1\0\0\0"
OTHER_STARTS: dict[str, tuple[str, int, tuple[bytes, ...]]] = {
    "mail, after another command": ("smtp", 25, (b"220 mx\r\n", b"NOOP\r\n", b"250\r\n", *STARTS["smtp"][1][1:])),
    "mail, of a client without a name": (
        "smtp",
        25,
        (b"220 mx\r\n", b"EHLO\r\n", b"250\r\n", b"STARTTLS\r\n", b"220\r\n"),
    ),
    "mail, all at once": ("smtp", 25, (b"220 mx\r\n", b"EHLO me\r\nNOOP\r\nSTARTTLS\r\n", b"250\r\n250\r\n220\r\n")),
    "a mailbox, tagged otherwise": (
        "imap",
        143,
        (b"* OK\r\n", b"A-1_x/2 CAPABILITY\r\n", b"A-1_x/2 OK\r\n", b"[2] STARTTLS\r\n", b"[2] OK\r\n"),
    ),
    "a mailbox, after another command": (
        "imap",
        143,
        (b"* OK\r\n", b"1 UNSELECT\r\n", b"1 BAD\r\n", b"2 STARTTLS\r\n", b"2 OK\r\n"),
    ),
    "a mailbox, told first who asks": (
        "imap",
        143,
        (b"* OK\r\n", b'1 ID ("name" "x")\r\n', b"1 OK\r\n", b"2 STARTTLS\r\n", b"2 OK\r\n"),
    ),
    "post, asked how to log in": (
        "pop3",
        110,
        (b"+OK\r\n", b"AUTH\r\n", b"+OK\r\n.\r\n", b"CAPA\r\n", b"+OK\r\n.\r\n", b"STLS\r\n", b"+OK\r\n"),
    ),
    "files, after other commands": (
        "ftp",
        21,
        (
            b"220-x\r\n220 y\r\n",
            b"CLNT x\r\n",
            b"200\r\n",
            b"OPTS UTF8 ON\r\n",
            b"200\r\n",
            b"AUTH TLS\r\n",
            b"234\r\n",
        ),
    ),
    "chat with a password": (
        "irc",
        6667,
        (b"", b"PASS x\r\nNICK me\r\n", b":x 001 me\r\n", b"STARTTLS\r\n", b":x 670 me\r\n"),
    ),
    "chat through a gateway": (
        "irc",
        6667,
        (
            b"",
            b"WEBIRC pw gate host.example 192.0.2.7\r\n",
            b":x 020 * :wait\r\n",
            b"NICK me\r\nSTARTTLS\r\n",
            b":x 670\r\n",
        ),
    ),
    "a directory, after a log-in": ("ldap", 389, (b"", LDAP_BIND, LDAP_BOUND, LDAP, LDAP_ANSWER)),
    "a database, of MariaDB's client": (
        "mysql",
        3306,
        (b"\x5a\0\0\0\x0a11.4.2-MariaDB\0" + bytes(60), MYSQL[:4] + b"\x84" + MYSQL[5:-4] + b"\x1d\0\0\0"),
    ),
    "a directory, its lengths in four bytes": (
        "ldap",
        389,
        (b"", b"\x30\x84\0\0\0\x1d" + LDAP[2:], LDAP_ANSWER),
    ),
    "a database, of an old client": ("mysql", 3306, (b"\x40\0\0\0\x0a4.0.27\0" + bytes(50), b"\5\0\0\1\5\x08\0\0\0")),
    "post, in the users' own language": (
        "pop3",
        110,
        (b"+OK\r\n", b"UTF8\r\n", b"+OK\r\n", b"LANG es\r\n", b"+OK\r\n", b"STLS\r\n", b"+OK\r\n"),
    ),
    "talk, under another prefix": (
        "xmpp",
        5222,
        (
            b"",
            ETHERX,
            b"<s:features/>",
            b"<t:starttls xmlns:t='urn:ietf:params:xml:ns:xmpp-tls'></t:starttls>",
            b"<t:proceed/>",
        ),
    ),
    "a filter's server that says first what it can": (
        "managesieve",
        4190,
        (b'"SIEVE" "fileinto"\r\n"STARTTLS"\r\nOK\r\n', b"CAPABILITY\r\n", b"OK\r\n", b"STARTTLS\r\n", b"OK\r\n"),
    ),
    "a remote screen, of TLS alone": ("vnc", 5901, (b"RFB 003.007\n", b"RFB 003.007\n", b"\1\x12", b"\x12")),
    "a block device, with an export's list": (
        "nbd",
        10809,
        (
            b"NBDMAGICIHAVEOPT\0\3",
            b"\0\0\0\1IHAVEOPT\0\0\0\3" + bytes(4),
            bytes(20),
            b"IHAVEOPT\0\0\0\5" + bytes(4),
            bytes(20),
        ),
    ),
    "a remote desktop": ("rdp", 3389, (b"", RDP, RDP_ANSWER)),
    "a remote desktop elsewhere": ("rdp", 13389, (b"", b"\3\0\0\x13\x0e\xe0\0\0\0\0\0" + RDP[-8:], RDP_ANSWER)),
}
"""What it is, its port, and what is said in turn, the server first."""


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


PRELOGIN = b"\x12\1\0\x2f\0\0\1\0" + b"\0\0\x1a\0\6\1\0\x20\0\1\2\0\x21\0\1\3\0\x22\0\4\4\0\x26\0\1\xff" + bytes(13)
"""SQL Server's, with the packet number that many clients give."""
PRELOGIN_ANSWER = b"\4\1\0\x0c\0\0\1\0\xff" + bytes(3)


@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("name", [*STARTS, "tds"])
def test_what_asks_for_tls_may_come_in_segments_of_any_size(tmp_path: Path, name: str, size: int) -> None:
    port, said = STARTS.get(name, (1433, (b"", PRELOGIN, PRELOGIN_ANSWER)))
    traffic = TcpTraffic(dport=port)
    for turn, text in enumerate(said):
        for at in range(0, len(text), size):
            traffic.says(text[at : at + size], client=turn % 2 == 1)
    inside = b"\x12\1" + (len(HELLO) + 8).to_bytes(2, "big") + b"\0\0\2\0" + HELLO
    traffic.says(inside if name == "tds" else HELLO)
    [record] = inspected(tmp_path, traffic.frames, BLOCKED)
    assert (record["protocol"], record["host"], record["rule"]) == ("tls", "www.blocked.example", "it")


@pytest.mark.parametrize("name", OTHER_STARTS)
def test_tls_is_read_whatever_came_before_it(tmp_path: Path, name: str) -> None:
    protocol, port, said = OTHER_STARTS[name]
    for turns in (said, (b"", *said[1:])) if protocol != "ftp" else (said,):
        traffic = TcpTraffic(dport=port)
        for turn, text in enumerate(turns):
            if text:
                traffic.says(text, client=turn % 2 == 1)
        traffic.says(HELLO).says(ANSWER, client=False)
        if name == "a mailbox, after another command" and turns[0] == b"":
            continue  # what nobody knows is all that tells of it
        [record] = inspected(tmp_path, traffic.frames, BLOCKED)
        assert (record["protocol"], record["host"], record["rule"]) == ("tls", "www.blocked.example", "it")
        [record] = inspected(tmp_path, traffic.frames, BLOCKED, "naive")
        assert (record["protocol"], record["verdict"]) == (protocol, "pass")


@pytest.mark.parametrize(
    ("greeting", "protocol"),
    [(b"220 mx\r\n", "smtp"), (b"200 news\r\n", "nntp"), (b"201 read only\r\n", "nntp"), (b":x NOTICE *\r\n", "irc")],
)
def test_a_client_that_only_starts_tls_speaks_what_the_server_does(
    tmp_path: Path, greeting: bytes, protocol: str
) -> None:
    traffic = TcpTraffic(dport=2500).says(greeting, client=False).says(b"STARTTLS\r\n")
    assert inspected(tmp_path, list(traffic.frames))[0]["protocol"] == protocol
    assert inspected(tmp_path, traffic.says(HELLO).frames, BLOCKED)[0]["rule"] == "it"


@pytest.mark.parametrize("name", sorted({*STARTS, *OTHER_STARTS} - {"ldap", "mysql", "a directory, after a log-in"}))
def test_tls_is_read_wherever_what_came_before_it_is_cut(tmp_path: Path, name: str) -> None:
    port, said = STARTS[name] if name in STARTS else OTHER_STARTS[name][1:]
    traffic = TcpTraffic(dport=port)
    for turn, text in enumerate(said):
        if text:
            parts = [text] if turn % 2 == 0 else [text[at : at + 3] for at in range(0, len(text), 3)]
            traffic.says(*parts, client=turn % 2 == 1)
    assert inspected(tmp_path, traffic.says(HELLO).frames, BLOCKED)[0]["rule"] == "it"


def test_tls_in_the_packets_of_sql_server_is_read_in_whatever_segments(tmp_path: Path) -> None:
    def packet(data: bytes, kind: int = 0x12, number: int = 0) -> bytes:
        return bytes((kind, 1)) + (len(data) + 8).to_bytes(2, "big") + bytes((0, 0, number, 0)) + data

    before = packet(b"\0\0\x0b\0\6\1\0\x11\0\1\xff" + bytes(7))
    for hello in (packet(HELLO), packet(HELLO[:100]) + packet(HELLO[100:])):
        for parts in ([hello], [hello[:50], hello[50:]], [bytes((byte,)) for byte in hello]):
            traffic = TcpTraffic(dport=1433).says(before).says(packet(bytes(20), 4), client=False).says(*parts)
            [record] = inspected(tmp_path, traffic.frames, BLOCKED)
            assert (record["protocol"], record["host"], record["rule"]) == ("tls", "www.blocked.example", "it")
    assert inspected(tmp_path, traffic.frames, BLOCKED, "naive")[0]["protocol"] == "tds"
    numbered = TcpTraffic(dport=1433).says(packet(before[8:], number=1)).says(packet(bytes(20), 4), client=False)
    assert inspected(tmp_path, numbered.says(packet(HELLO, number=2)).frames, BLOCKED)[0]["rule"] == "it"


@pytest.mark.parametrize(
    "text",
    [
        b"\x30\x0c\x02\x01\x01\x02\x07" + bytes(7),  # BER of something else
        b"\3\0\0\x16\x11\xe0\0\0\0\1\0\xc1\2\1\0\xc2\2\1\2\xc0\1\x0a",  # a controller's, not a desktop's
        b"\x12\1\0\x14" + b"x" * 30,
    ],
)
def test_bytes_that_only_begin_like_another_protocol_are_not_it(tmp_path: Path, text: bytes) -> None:
    [record] = inspected(tmp_path, TcpTraffic(dport=102).says(text).frames, BLOCKED)
    assert record["protocol"] not in {"ldap", "rdp", "tds"}


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
        b"get key\r\n",
        b"GET hello world\r\n",
        b"get h\r\n",
        b"GET http\r\n",
        b"OPTIONS icap://icap.example/virus ICAP/1.0\r\nHost: blocked.example\r\n\r\n",
    ],
)
def test_what_only_begins_like_a_request_is_not_http(tmp_path: Path, text: bytes) -> None:
    for parts in ([text], [text[:5], text[5:]], [text[:12], text[12:]]):
        parts = [part for part in parts if part]
        [record] = inspected(tmp_path, TcpTraffic(dport=4222).says(*parts).frames, BLOCKED)
        assert (record["protocol"], record["verdict"]) == ("unknown", "pass")


@pytest.mark.parametrize("line", [b"GET /info RTSP/1.0", b"OPTIONS * RTSP/1.0", b"POST /fp-setup RTSP/1.0"])
def test_a_request_of_airplay_is_not_http(tmp_path: Path, line: bytes) -> None:
    frames = TcpTraffic(dport=7000).says(line + b"\r\nCSeq: 0\r\nHost: blocked.example\r\n\r\n").frames
    [record] = inspected(tmp_path, frames, BLOCKED)
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


@pytest.mark.parametrize(("number", "name"), [(55, "mobile"), (108, "ipcomp"), (136, "udplite")])
def test_what_is_neither_tcp_nor_udp_is_named(tmp_path: Path, number: int, name: str) -> None:
    frame = Ether() / IP(src=CLIENT, dst=SERVER, proto=number) / Raw(bytes(range(40)))
    [record] = inspected(tmp_path, [frame])
    assert (record["proto"], record["protocol"]) == (name, name)
