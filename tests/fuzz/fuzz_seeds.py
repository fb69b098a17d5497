"""Valid beginnings of every protocol, for mutation. No network, no randomness: the same bytes in every run."""

from __future__ import annotations

import struct
from zlib import crc32

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from shutdownlab.inspection.recognisers.quic_protection import V1, V2, client_keys

CONNECTION = bytes.fromhex("8394c8f03e515708")


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack("!HH", kind, len(body)) + body


def hello(name: bytes = b"fuzz.example", extra: int = 0, dtls: bool = False) -> bytes:
    """A ClientHello body with the extensions the parsers read."""
    extensions = (
        extension(0x0A0A, b"")
        + extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name)
        + extension(16, b"\x00\x0c\x02h2\x08http/1.1")
        + extension(43, b"\x06\x1a\x1a\x03\x04\x03\x03")
        + extension(13, struct.pack("!HHHH", 6, 0x0403, 0x0804, 0x0401))
        + extension(0xFE0D, bytes(24))
        + extension(21, bytes(extra))
    )
    ciphers = struct.pack("!5H", 0x1A1A, 0x1301, 0xC02F, 0x002F, 0x00FF)
    cookie = b"\x00" if dtls else b""
    start = b"\xfe\xfd" if dtls else b"\x03\x03"
    body = start + bytes(32) + b"\x04abcd" + cookie + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\x00"
    return body + struct.pack("!H", len(extensions)) + extensions


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def record(payload: bytes) -> bytes:
    return b"\x16\x03\x03" + struct.pack("!H", len(payload)) + payload


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    length = bytes((size,)) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return bytes((tag,)) + length + body


def certificate() -> bytes:
    """As much of an X.509 certificate as a walk for names needs."""
    name = der(0x30, der(0x31, der(0x30, der(6, b"\x55\x04\x03"), der(0x0C, b"cn.example"))))
    names = der(0x30, der(0x82, b"a.example"), der(0x82, b"*.b.example"), der(0x87, b"\x7f\0\0\1"))
    extensions = der(0xA3, der(0x30, der(0x30, der(6, b"\x55\x1d\x11"), der(1, b"\xff"), der(4, names))))
    fields = der(0xA0, der(2, b"\x02")) + der(2, b"\x01") + der(0x30) + name + der(0x30) + name + der(0x30)
    return der(0x30, der(0x30, fields, extensions), der(0x30), der(3, b"\0"))


def server_flight() -> bytes:
    body = certificate()
    chain = len(body).to_bytes(3, "big") + body
    hello_done = message(2, b"\x03\x03" + bytes(32) + b"\x00" + b"\xc0\x2f\x00\x00\x00")
    return record(hello_done + message(11, len(chain).to_bytes(3, "big") + chain))


def number(value: int) -> bytes:
    return (value | 0x4000).to_bytes(2, "big")


def crypto_frame(offset: int, piece: bytes) -> bytes:
    return b"\x06" + number(offset) + number(len(piece)) + piece


def quic_frames() -> bytes:
    stream = message(1, hello())
    return (
        b"\x01\x00\x00"
        + crypto_frame(80, stream[80:])
        + b"\x02\x05\x00\x01\x00\x01\x01"
        + crypto_frame(0, stream[:90])
        + bytes(30)
    )


def seal(frames: bytes, version: int = V1, packet: int = 0) -> bytes:
    """A client Initial whose protection is right, whatever the frames are."""
    key, iv, protection = client_keys(version, CONNECTION)
    frames = frames[:8000] + bytes(max(0, 24 - len(frames)))
    first = (0xC0 if version == V1 else 0xD0) | 0x01
    header = bytes((first,)) + version.to_bytes(4, "big") + b"\x08" + CONNECTION + b"\x00\x00"
    header += number(2 + len(frames) + 16)
    packed = packet.to_bytes(2, "big")
    nonce = (int.from_bytes(iv, "big") ^ packet).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, frames, header + packed)
    mask = Cipher(AES(protection), ECB()).encryptor().update(sealed[2:18])
    protected = bytes((packed[0] ^ mask[1], packed[1] ^ mask[2]))
    return bytes((first ^ (mask[0] & 0x0F),)) + header[1:] + protected + sealed


def dns(name: bytes = b"\x04fuzz\x07example\x00", answers: int = 0) -> bytes:
    head = struct.pack("!6H", 0x1234, 0x8180 if answers else 0x0100, 1, answers, 0, 1)
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\x00\x02\x01"
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x11"
    return (
        head
        + name
        + struct.pack("!HH", 28, 1)
        + (answer + alias) * (answers // 2)
        + b"\0"
        + struct.pack("!HHIH", 41, 1232, 0, 0)
    )


def dtls_hello(offset: int = 0, size: int = 1 << 14) -> bytes:
    body = hello(dtls=True)
    piece = body[offset : offset + size]
    handshake = b"\x01" + len(body).to_bytes(3, "big") + bytes(2) + offset.to_bytes(3, "big")
    handshake += len(piece).to_bytes(3, "big") + piece
    return b"\x16\xfe\xff" + bytes(8) + struct.pack("!H", len(handshake)) + handshake


_RESET = b"\x38" + bytes(range(1, 9))
_REQ_PQ = bytes(8) + struct.pack("<QI", 0x5E0B700A00000000, 20) + bytes(range(20))
_FULL = struct.pack("<II", len(_REQ_PQ) + 12, 0) + _REQ_PQ
_HTTP = b"GET /path?q=1 HTTP/1.1\r\nAccept: a,\r\n b\r\nHost: fuzz.example:8080\r\nUser-Agent: x\r\n\r\n"

TCP_SEEDS: tuple[tuple[bytes, bytes, int], ...] = (
    (record(message(1, hello())), server_flight(), 443),
    (record(message(1, hello())[:60]) + record(message(1, hello())[60:]), b"", 443),
    (record(message(1, hello(b"www.abcdefgh.com", 1500))), b"\x15\x03\x03\x00\x02\x02\x28", 9001),
    (b"\x80\x2e\x01\x03\x01\x00\x09\x00\x00\x00\x20" + bytes(41), b"", 443),
    (_HTTP, b"HTTP/1.1 200 OK\r\n\r\n", 80),
    (b"POST /api HTTP/1.1\r\nHost: 149.154.167.51\r\n\r\n" + _REQ_PQ, b"", 80),
    (b"GET /announce?info_hash=%aa HTTP/1.0\nHost:t.example\n\n", b"", 6969),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"", 80),
    (struct.pack("!H", len(dns())) + dns(), b"", 53),
    (b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-x\r\n", 22),
    (b"\x13BitTorrent protocol" + bytes(48), b"", 6881),
    (b"INVITE sip:bob@fuzz.example;lr SIP/2.0\r\nVia: x\r\n\r\n", b"", 5060),
    (b"ED\x00\x01\x00\x00\x04abcdWA\x06\x03\x00\x00\x24" + bytes(36), b"", 5222),
    (b"\x00\x0e" + _RESET + bytes(5), b"", 1194),
    (b"\xef\x0a" + _REQ_PQ, b"", 443),
    (b"\xee" * 4 + struct.pack("<I", 40) + _REQ_PQ, b"", 443),
    (_FULL + struct.pack("<I", crc32(_FULL)), b"", 443),
    (bytes((7 * i + 129) & 0xFF for i in range(300)), bytes(range(200)), 8388),
    (b"", b"220 mail.example ESMTP\r\n", 25),
)

UDP_SEEDS: tuple[tuple[bytes, int], ...] = (
    (dns(), 53),
    (dns(answers=4), 53),
    (dns(), 4444),
    (dns(b"\x01a\xc0\x1c"), 5353),
    (seal(quic_frames()), 443),
    (seal(quic_frames(), V2), 443),
    (seal(crypto_frame(0, message(1, hello())[:100])) + seal(crypto_frame(100, message(1, hello())[100:]), V1, 1), 443),
    (b"\x0d" + bytes(8) + b"Q043" + bytes(14) + b"CHLO\x01\0\0\0SNI\0\x03\0\0\0abc", 443),
    (dtls_hello(), 4433),
    (dtls_hello(20, 60), 4433),
    (b"\x01\0\0\0" + bytes(range(144)), 51820),
    (b"\x04\0\0\0" + bytes(range(60)), 51820),
    (_RESET + bytes(5), 1194),
    (_RESET + bytes(20) + struct.pack("!II", 1, 1_700_000_000) + bytes(5), 1194),
    (b"\x50" + _RESET[1:] + struct.pack("!II", 1, 1_700_000_000) + bytes(300), 1194),
    (struct.pack("!HH", 3, 8) + b"\x21\x12\xa4\x42" + bytes(12) + b"\x80\x22\x00\x04abcd", 3478),
    (b"\x80\x6f\x00\x01" + bytes(4) + b"ssrc" + bytes(60), 5004),
    (struct.pack("!BBHI", 0x80, 200, 6, 7) + bytes(20) + struct.pack("!BBHI", 0x81, 202, 2, 7) + b"\x01\x02ab", 5005),
    (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", 6881),
    (bytes.fromhex("41021234010203040000000000100000000100000008") + bytes(8), 6881),
    (b"REGISTER sips:fuzz.example SIP/2.0\r\n\r\n", 5060),
)
