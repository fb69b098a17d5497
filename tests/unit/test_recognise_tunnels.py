"""SSH, WireGuard, OpenVPN and Tor by their first packets."""

from __future__ import annotations

import hashlib
import hmac
import random
import struct

import pytest
from client_hellos import extension, hello_body, message, openssl_hello, records, sni

from shutdownlab.inspection.recognition import recognise_tcp, udp_session

NOW = 1_700_000_000
SESSION = bytes(range(1, 9))


def udp(payload: bytes, port: int, from_client: bool = True) -> str:
    return udp_session().feed(payload, from_client, port).protocol


def test_ssh_from_either_end() -> None:
    found = recognise_tcp(b"SSH-2.0-OpenSSH_9.2p1\r\n", b"", 22)
    assert (found.protocol, found.user_agent, found.more) == ("ssh", "SSH-2.0-OpenSSH_9.2p1", False)
    assert recognise_tcp(b"", b"SSH-1.99-Cisco-1.25\n", 2222).protocol == "ssh"
    assert recognise_tcp(b"SSH", b"", 22).more
    assert recognise_tcp(b"SSH-keys are nice", b"", 22).protocol == "unknown"


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@pytest.mark.parametrize(("kind", "length"), [(1, 148), (2, 92), (3, 64)])
def test_wireguard_handshake_on_any_port(kind: int, length: int) -> None:
    packet = bytes((kind, 0, 0, 0)) + noise(length - 4)
    assert udp(packet, 443) == "wireguard"
    assert udp(packet + b"x", 443) != "wireguard"
    assert udp(bytes((kind, 0, 1, 0)) + noise(length - 4), 443) != "wireguard"
    assert udp(bytes((kind,)) + bytes(length - 1), 443) != "wireguard"


def test_wireguard_data_counts_on_its_port_only() -> None:
    packet = b"\x04\x00\x00\x00" + noise(92)
    assert udp(packet, 51820) == "wireguard"
    assert udp(packet, 443) == "unknown"


def openvpn_plain(opcode: int = 0x38) -> bytes:
    return bytes((opcode,)) + SESSION + b"\x00" + bytes(4)


def openvpn_tls_auth(digest: str) -> bytes:
    counter = struct.pack("!II", 1, NOW)
    tag = hmac.digest(b"k" * 64, counter + openvpn_plain(), digest)
    return b"\x38" + SESSION + tag + counter + b"\x00" + bytes(4)


def openvpn_tls_crypt(opcode: int = 0x38, wrapped: int = 0, counter: int = 1) -> bytes:
    tag = hashlib.sha256(b"tag").digest()
    return bytes((opcode,)) + SESSION + struct.pack("!II", counter, NOW) + tag + noise(5) + noise(wrapped)


OPENVPN = [
    (openvpn_plain(), "plain"),
    (openvpn_plain(0x08), "plain"),
    (openvpn_tls_auth("sha1"), "tls-auth"),
    (openvpn_tls_auth("sha256"), "tls-auth"),
    (openvpn_tls_auth("sha512"), "tls-auth"),
    (openvpn_tls_crypt(), "tls-crypt"),
    (openvpn_tls_crypt(0x50, 290), "tls-crypt-v2"),
    (openvpn_tls_crypt(0x50, 290, 0x0F000001), "tls-crypt-v2"),
]


@pytest.mark.parametrize(("packet", "variant"), OPENVPN)
def test_openvpn_reset_over_udp_and_tcp(packet: bytes, variant: str) -> None:
    found = udp_session().feed(packet, True, 443)
    assert (found.protocol, found.variant) == ("openvpn", variant)
    stream = struct.pack("!H", len(packet)) + packet
    found = recognise_tcp(stream, b"", 443)
    assert (found.protocol, found.variant) == ("openvpn", variant)
    assert recognise_tcp(stream[:10], b"", 443).more


def test_openvpn_server_reset() -> None:
    packet = b"\x40" + SESSION + b"\x01" + bytes(4) + SESSION + bytes(4)
    assert udp(packet, 443, from_client=False) == "openvpn"


def test_openvpn_opcode_alone_is_not_enough() -> None:
    assert udp(b"\x38" + noise(13), 1194) != "openvpn"
    assert udp(b"\x38" + noise(53), 1194) != "openvpn"


TOR_CIPHERS = bytes.fromhex("130113031302c02bc02fcca9cca8c02cc030c00ac009c013c014009c009d002f003500ff")


def tor_hello(name: bytes = b"www.uifhqakhxlu.com", extra: bytes = b"", ciphers: bytes = TOR_CIPHERS) -> bytes:
    """The shape of tor 0.4.9's ClientHello (Debian 12, OpenSSL 3.0), as captured."""
    values = struct.unpack(f"!{len(ciphers) // 2}H", ciphers)
    return records(message(hello_body(sni(name) + extension(22, b"") + extra, values)))


def test_tor_by_the_shape_of_its_hello() -> None:
    assert recognise_tcp(tor_hello(), b"", 443).protocol == "tor"
    assert recognise_tcp(tor_hello(b"www.5o27r.com"), b"", 9001).protocol == "tor"


def test_tor_of_2013_by_the_list_that_it_copied_from_firefox_3() -> None:
    """As in the capture tor.pcap of nDPI's tests."""
    ciphers = bytes.fromhex(
        "c00ac01400880087003900 38c00fc00500840035c007c009c011c013004500440033 0032c00cc00ec002c004009600410004"
        "0005002fc008c01200160013c00dc003feff000a00ff"
    )
    assert recognise_tcp(tor_hello(b"www.e6r5p57kbafwrxj3plz.com", ciphers=ciphers), b"", 443).protocol == "tor"
    assert recognise_tcp(tor_hello(b"www.wikipedia.org", ciphers=ciphers), b"", 443).protocol == "tls"


def test_what_only_resembles_tor_is_tls() -> None:
    assert recognise_tcp(tor_hello(b"www.with-hyphen.com"), b"", 443).protocol == "tls"
    assert recognise_tcp(tor_hello(b"uifhqakhxlu.com"), b"", 443).protocol == "tls"
    assert recognise_tcp(tor_hello(extra=extension(16, b"\x00\x03\x02h2")), b"", 443).protocol == "tls"
    assert recognise_tcp(tor_hello(ciphers=TOR_CIPHERS[:-2]), b"", 443).protocol == "tls"
    assert recognise_tcp(openssl_hello("www.facebook.com"), b"", 443).protocol == "tls"
