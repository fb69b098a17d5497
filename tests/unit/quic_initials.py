"""QUIC Initials cut and put together as no library does it."""

from __future__ import annotations

from client_hellos import extension, hello_body, message, sni
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from shutdownlab.inspection.recognisers.quic_protection import V1, V2, client_keys

CID = bytes.fromhex("8394c8f03e515708")


def number(value: int) -> bytes:
    return (value | 0x4000).to_bytes(2, "big") if value < 0x4000 else (value | 0x80000000).to_bytes(4, "big")


def crypto(offset: int, piece: bytes) -> bytes:
    return b"\x06" + number(offset) + number(len(piece)) + piece


def seal(frames: bytes, packet: int = 0, version: int = V1, connection: bytes = CID, keyed: bytes = CID) -> bytes:
    """A protected client Initial carrying `frames`, padded as RFC 9001 wants for sampling."""
    key, iv, protection = client_keys(version, keyed)
    frames += bytes(max(0, 24 - len(frames)))
    first = (0xD0 if version == V2 else 0xC0) | 0x01
    header = bytes((first,)) + version.to_bytes(4, "big") + bytes((len(connection),)) + connection + b"\x00\x00"
    header += number(2 + len(frames) + 16)
    packed = packet.to_bytes(2, "big")
    nonce = (int.from_bytes(iv, "big") ^ packet).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, frames, header + packed)
    mask = Cipher(AES(protection), ECB()).encryptor().update(sealed[2:18])
    return (
        bytes((header[0] ^ (mask[0] & 0x0F),)) + header[1:] + bytes((packed[0] ^ mask[1], packed[1] ^ mask[2])) + sealed
    )


def hello(name: bytes = b"quic.example", extra: int = 0) -> bytes:
    return message(hello_body(sni(name) + extension(16, b"\x00\x03\x02h3") + extension(21, bytes(extra))))
