"""Telegram's MTProto in all its transports, WhatsApp's prologue, BitTorrent."""

from __future__ import annotations

import random
import struct
from zlib import crc32

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from wire import Connection, engine, rule

from shutdownlab.inspection.recognition import recognise_tcp, udp_session

# req_pq_multi, the first message of a client without a key: auth_key_id 0, message id, length, constructor, nonce.
REQ_PQ = bytes(8) + struct.pack("<QI", 0x5E0B700A00000000, 20) + struct.pack("<I", 0xBE7E8EF1) + bytes(range(16))
ENCRYPTED = random.Random(3).randbytes(8 + 16 + 96)


def full(payload: bytes) -> bytes:
    head = struct.pack("<II", len(payload) + 12, 0) + payload
    return head + struct.pack("<I", crc32(head))


def obfuscated(tag: bytes, payload: bytes) -> bytes:
    """The 64-byte header as core.telegram.org describes it, then the payload, all under AES-CTR."""
    header = bytearray(random.Random(9).randbytes(64))
    header[0] = 0x11
    header[56:60] = tag
    stream = Cipher(AES(bytes(header[8:40])), CTR(bytes(header[40:56]))).encryptor()
    sealed = stream.update(bytes(header))
    return bytes(header[:56]) + sealed[56:] + stream.update(payload)


@pytest.mark.parametrize(
    ("stream", "variant"),
    [
        (b"\xef" + bytes((len(REQ_PQ) // 4,)) + REQ_PQ, "abridged"),
        (b"\xef" + bytes((len(ENCRYPTED) // 4,)) + ENCRYPTED, "abridged"),
        (b"\xef\x7f" + (200).to_bytes(3, "little") + bytes(8) + b"z" * 792, "abridged"),
        (b"\xee" * 4 + struct.pack("<I", len(REQ_PQ)) + REQ_PQ, "intermediate"),
        (b"\xdd" * 4 + struct.pack("<I", len(ENCRYPTED) + 7) + ENCRYPTED + bytes(7), "padded"),
        (full(REQ_PQ), "full"),
        (obfuscated(b"\xef" * 4, b"x" * 40), "obfuscated abridged"),
        (obfuscated(b"\xdd" * 4, b""), "obfuscated padded"),
    ],
)
def test_mtproto_transports(stream: bytes, variant: str) -> None:
    found = recognise_tcp(stream, b"", 443)
    assert (found.protocol, found.variant, found.more) == ("mtproto", variant, False)


def test_abridged_frames_are_of_one_key() -> None:
    frames = b"".join(bytes((len(part) // 4,)) + part for part in [ENCRYPTED, ENCRYPTED[:8] + bytes(64), ENCRYPTED])
    assert recognise_tcp(b"\xef" + frames, b"", 443).variant == "abridged"
    assert recognise_tcp(b"\xef" + frames.replace(ENCRYPTED[:8] + bytes(64), bytes(72)), b"", 443).protocol != "mtproto"


def test_random_streams_are_not_mtproto() -> None:
    rng = random.Random(4)
    for _ in range(5000):
        assert recognise_tcp(b"\xef" + rng.randbytes(1447), b"", 443).protocol != "mtproto"


def test_mtproto_over_http() -> None:
    head = b"POST /api HTTP/1.1\r\nHost: 149.154.167.51:80\r\nContent-Length: 40\r\n\r\n"
    found = recognise_tcp(head + REQ_PQ, b"", 80)
    assert (found.protocol, found.variant, found.host) == ("mtproto", "http", "149.154.167.51")
    assert recognise_tcp(b"POST /api HTTP/1.1\r\nHost: shop.example\r\n\r\n{}", b"", 80).protocol == "http"
    assert recognise_tcp(b"POST / HTTP/1.1\r\nHost: 149.154.167.51\r\n\r\n", b"", 80).protocol == "http"


def test_obfuscated_with_a_proxy_secret_is_only_fully_encrypted() -> None:
    stream = bytearray(obfuscated(b"\xdd" * 4, b"x" * 200))
    stream[56:60] = b"\x9a\x31\x77\xe4"
    assert recognise_tcp(bytes(stream), b"", 443).protocol == "fet"


def test_damaged_full_transport_is_not_mtproto() -> None:
    assert recognise_tcp(full(REQ_PQ)[:-1] + b"\x00", b"", 443).protocol != "mtproto"


@pytest.mark.parametrize(
    ("stream", "variant"),
    [
        (b"WA\x06\x03\x00\x00\x24" + bytes(36), "6.3"),
        (b"WA\x05\x02", "5.2"),
        (b"ED\x00\x01\x00\x00\x04\x08\x05\x10\x02WA\x06\x03\x00\x00\x24", "6.3"),
        (b"ED\x00\x01\x00\x00\x40\x08", "routed"),
    ],
)
def test_whatsapp_prologue(stream: bytes, variant: str) -> None:
    found = recognise_tcp(stream, b"", 5222)
    assert (found.protocol, found.variant, found.more) == ("whatsapp", variant, False)


def test_whatsapp_waits_for_its_prologue_and_words_are_not_one() -> None:
    assert recognise_tcp(b"WA", b"", 5222).more
    assert recognise_tcp(b"WAIT A MINUTE, PLEASE", b"", 5222).protocol == "unknown"
    assert recognise_tcp(b"EDITOR=vi whatever follows", b"", 5222).protocol == "unknown"


HANDSHAKE = b"\x13BitTorrent protocol" + bytes(8) + bytes(range(40))


def test_bittorrent_handshake_and_tracker() -> None:
    assert recognise_tcp(HANDSHAKE, b"", 51413).variant == "peer"
    assert recognise_tcp(HANDSHAKE[:7], b"", 51413).more
    tracker = b"GET /announce?info_hash=%12%34&port=6881 HTTP/1.1\r\nHost: tracker.example:6969\r\n\r\n"
    found = recognise_tcp(tracker, b"", 6969)
    assert (found.protocol, found.variant, found.host) == ("bittorrent", "tracker", "tracker.example")


UTP_SYN = b"\x41\x00\x12\x34" + b"\x01\x02\x03\x04" + bytes(4) + b"\x00\x10\x00\x00" + b"\x00\x01" + b"\x00\x00"


@pytest.mark.parametrize(
    ("payload", "variant"),
    [
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", "dht"),
        (b"d1:rd2:id20:0123456789abcdefghije1:t2:aa1:y1:re", "dht"),
        (b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee", "dht"),
        (bytes.fromhex("0000041727101980") + bytes(4) + b"abcd", "tracker"),
        (b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n\r\n", "lsd"),
        (UTP_SYN, "utp"),
        (UTP_SYN[:1] + b"\x02" + UTP_SYN[2:] + b"\x00\x08" + bytes(8), "utp"),
    ],
)
def test_bittorrent_over_udp(payload: bytes, variant: str) -> None:
    found = udp_session().feed(payload, True, 6881)
    assert (found.protocol, found.variant) == ("bittorrent", variant)


def test_encrypted_peers_count_on_their_ports_only() -> None:
    key = b"\xa5" + random.Random(4).randbytes(157)
    assert recognise_tcp(key, b"", 6881).variant == "mse"
    assert recognise_tcp(key, key[::-1], 51413).variant == "mse"
    assert recognise_tcp(key[:60], b"", 6881).protocol == "fet"
    assert recognise_tcp(key, b"", 443).protocol == "fet"


@pytest.mark.parametrize("secret", [False, True])
def test_what_boxes_make_of_telegrams_obfuscated_transport(secret: bool) -> None:
    """Who reads the key in its header knows the app; by the rule of Wu et al. it is just what looks like nothing."""
    stream = bytearray(obfuscated(b"\xdd" * 4, random.Random(1).randbytes(200)))
    if secret:  # a proxy's: the header can be opened by nobody else
        stream[56:60] = b"\x9a\x31\x77\xe4"
    boxes = {
        "by app": engine("perfect", rule("drop", app=("telegram",))),
        "by look": engine("gfw-fet", rule("drop", fully_encrypted=True)),
        "by protocol": engine("iran-protocol-filter"),
    }
    passed = {}
    for name, box in boxes.items():
        connection = Connection(box)
        connection.open()
        passed[name] = connection.data(bytes(stream)).forward
        passed[name] = connection.say("PA", b"more").forward
    assert passed == {"by app": secret, "by look": False, "by protocol": False}
