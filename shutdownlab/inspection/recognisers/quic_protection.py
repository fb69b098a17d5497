"""The protection of QUIC's Initial packets: keys that anyone on the path can derive (RFC 9001 §5, RFC 9369 §3.3)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

_ECB = ECB()
V1 = 0x00000001
V2 = 0x6B3343CF
_SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
_SALT_V2 = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
_SALT_29 = bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899")
_SALT_22 = bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
_SALT_Q050 = bytes.fromhex("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45")
_SALT_T050 = bytes.fromhex("7ff579e5acd072915580304c43a2367c60488310")
_SALT_T051 = bytes.fromhex("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")
_SALT_23 = bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502")


def initial_salt(version: int) -> bytes | None:
    """The salt of a version's Initial secret; None for versions whose keys are unknown here."""
    if version == V1 or 0xFF000021 <= version <= 0xFF000022:
        return _SALT_V1
    if version == V2:
        return _SALT_V2
    if 0xFF00001D <= version <= 0xFF000020:
        return _SALT_29
    if 0xFF000017 <= version <= 0xFF00001C or 0xFACEB002 <= version <= 0xFACEB00F:
        return _SALT_23  # and Facebook's mvfst on the same draft
    if version in (0xFF000015, 0xFF000016, 0xFACEB001):
        return _SALT_22
    if version == 0x51303530:
        return _SALT_Q050
    if version == 0x54303530:
        return _SALT_T050  # Google's QUIC with TLS
    if version == 0x54303531:
        return _SALT_T051
    return None


class _Hmac:
    """HMAC-SHA-256 under one key (RFC 2104): of what is hashed more than once under it, the key is hashed once.

    OpenSSL's own, which looks its algorithm up each time, takes twice as long for what an Initial needs.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """key: of at most 64 bytes."""
        padded = key.ljust(64, b"\x00")
        self._inner = sha256(padded.translate(_INNER))
        self._outer = sha256(padded.translate(_OUTER))

    def digest(self, data: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(data)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def expand(self, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label (RFC 8446 §7.1) for outputs of one block, which all of QUIC's are."""
        info = length.to_bytes(2, "big") + bytes((len(label) + 6,)) + b"tls13 " + label + b"\x00\x01"
        return self.digest(info)[:length]


_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


@lru_cache(maxsize=16)
def _salted(salt: bytes) -> _Hmac:
    return _Hmac(salt)


@lru_cache(maxsize=256)
def client_keys(version: int, connection: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Key, IV and header-protection key of the client's Initials; `connection` is its first Destination CID."""
    salt = initial_salt(version)
    if salt is None:
        return None
    secret = _Hmac(_Hmac(_salted(salt).digest(connection)).expand(b"client in", 32))
    prefix = b"quicv2 " if version == V2 else b"quic "
    return secret.expand(prefix + b"key", 16), secret.expand(prefix + b"iv", 12), secret.expand(prefix + b"hp", 16)


def open_initial(packet: bytes, offset: int, keys: tuple[bytes, bytes, bytes]) -> bytes | None:
    """Remove header protection and decrypt (RFC 9001 §5); `offset` is where the packet number begins."""
    key, iv, protection = keys
    sample = packet[offset + 4 : offset + 20]
    if len(sample) < 16:
        return None
    mask = Cipher(AES(protection), _ECB).encryptor().update(sample)
    first = packet[0] ^ (mask[0] & 0x0F)
    size = (first & 3) + 1
    number = bytes(packet[offset + i] ^ mask[1 + i] for i in range(size))
    header = bytes((first,)) + packet[1:offset] + number
    nonce = (int.from_bytes(iv, "big") ^ int.from_bytes(number, "big")).to_bytes(12, "big")
    sealed = packet[offset + size :]
    if len(sealed) < 16:
        return None
    try:
        return AESGCM(key).decrypt(nonce, sealed, header)
    except InvalidTag:
        return None
