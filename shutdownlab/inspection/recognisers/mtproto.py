"""Recognises Telegram's MTProto transports (core.telegram.org/mtproto/mtproto-transports).

Abridged, intermediate, padded intermediate and full are recognised by their tags and framing. The obfuscated transport
encrypts its tag with AES-CTR but sends key and IV in the clear, so without a proxy's secret anyone can decrypt it. With
a secret it only looks fully encrypted.
"""

from __future__ import annotations

from zlib import crc32

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

_TAGS = {b"\xef" * 4: "abridged", b"\xee" * 4: "intermediate", b"\xdd" * 4: "padded"}
MAX_FRAME = 1 << 20
MAX_FRAMES = 64
MAX_OPEN = 16384
"""Bytes of the longest first abridged frame whose end is waited for."""


def _found(variant: str) -> Recognition:
    result = Recognition("mtproto")
    result.variant = variant
    return result


def recognise_mtproto(client: bytes) -> Recognition | None:
    """Recognises a client stream in one of MTProto's cleartext framings; None if it cannot be one."""
    length = len(client)
    if length == 0:
        return None
    tag = client[:4]
    if client[0] == 0xEF:
        return _abridged(client)
    if client[0] in (0xEE, 0xDD):
        if length < 8:
            return Recognition(more=True) if tag == bytes((client[0],)) * len(tag) else None
        variant = _TAGS.get(tag)
        if variant is None:
            return None
        size = int.from_bytes(client[4:8], "little") & 0x7FFFFFFF  # the top bit asks for a quick acknowledgement
        return _found(variant) if 4 <= size <= MAX_FRAME else None
    return _full(client)


def _abridged(client: bytes) -> Recognition | None:
    """Recognises the abridged transport: a 1-byte tag, then frames with a length of 1 or 4 bytes, in 4-byte words.

    One random stream in 256 begins with the tag, and any byte is a valid length, so all frames must have the same
    authorisation key's identifier, with which every encrypted message begins.
    """
    index = 1
    key = b""
    length = len(client)
    frames = 0
    while index < length and frames < MAX_FRAMES:
        words = client[index] & 0x7F  # the top bit requests a quick acknowledgement
        index += 1
        if words == 0x7F:
            if index + 3 > length:
                break
            words = int.from_bytes(client[index : index + 3], "little")
            index += 3
        if words == 0 or 4 * words > MAX_FRAME:
            return None
        if frames == 0 and index + 8 <= length and client[index : index + 8] == bytes(8):
            return _found("abridged")  # an unencrypted message: key exchange, auth_key_id is zero
        if frames and not client.startswith(key[: length - index], index):
            return None
        key = client[index : index + 8]
        index += 4 * words
        frames += 1
    if frames == 0:
        return Recognition(more=True)
    if index == length or frames >= 3:
        return _found("abridged")
    # A first frame that fills its segment may continue in the next one.
    return Recognition(more=True) if length >= 1000 and length < index <= MAX_OPEN else None


def _full(client: bytes) -> Recognition | None:
    """Recognises the full transport: length, sequence number 0, payload, and the CRC-32 of all of that."""
    if len(client) < 12:
        return None
    size = int.from_bytes(client[:4], "little")
    if size % 4 or not 24 <= size <= MAX_FRAME or client[4:8] != bytes(4) or len(client) < size:
        return None
    if crc32(client[: size - 4]) == int.from_bytes(client[size - 4 : size], "little"):
        return _found("full")
    return None


def obfuscated(client: bytes) -> Recognition | None:
    """Recognises the obfuscated transport by decrypting its 64-byte header with the key in it.

    Random data matches with probability 3 in 2**32.
    """
    if len(client) < 64 or client[0] == 0xEF or client[4:8] == bytes(4):
        return None
    stream = Cipher(AES(client[8:40]), CTR(client[40:56])).encryptor()
    variant = _TAGS.get(stream.update(client[:64])[56:60])
    return _found(f"obfuscated {variant}") if variant is not None else None


def refine_http(result: Recognition, client: bytes) -> None:
    """Turns an HTTP request into MTProto if it is a POST to /api with a message as its body."""
    if result.method != "POST" or result.url is None:
        return
    path = result.url.partition("://")[2].partition("/")[2] if "://" in result.url else result.url[1:]
    if not (path == "api" or path.startswith(("apiw", "api_test"))):
        return
    head = client.find(b"\r\n\r\n")
    if head < 0:
        return
    body = client[head + 4 :]
    numeric = result.host is not None and result.host.replace(".", "").isdigit()
    if numeric or (len(body) >= 24 and body[:8] == bytes(8) and body[8] & 3 == 0):
        result.protocol = "mtproto"
        result.variant = "http"


class MtProto(TcpRecogniser):
    protocols = ("mtproto",)
    order = 120
    refines = ("http",)

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return recognise_mtproto(client)

    def refine(self, found: Recognition, client: bytes, server: bytes, dport: int) -> None:
        refine_http(found, client)


class ObfuscatedMtProto(TcpRecogniser):
    protocols = ("mtproto",)
    order = 130

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        return obfuscated(client)
