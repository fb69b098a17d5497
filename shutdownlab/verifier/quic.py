"""The first flight of the probes' HTTP/3 client, built without aioquic. Pure.

It equals aioquic's in every octet that is not random; a test compares the two. Loading aioquic takes longer than
following all other probes of a country.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from shutdownlab.config.addresses import is_address
from shutdownlab.inspection.recognisers.quic_protection import V1, client_keys

_DATAGRAM: Final = 1200
"""Octets to which a client pads its first datagram (RFC 9000, 14.1)."""
_CONNECTION: Final = bytes.fromhex("1e5a2f8577993562")
_SOURCE: Final = bytes.fromhex("d48e20a961ba2eb3")
_RANDOM: Final = bytes(i * 97 % 251 for i in range(251))
_PACKET_NUMBER: Final = bytes(2)
_TAG: Final = 16
_SERVER_NAME: Final = 0
_SHARES: Final = ((0x0017, 65), (0x0018, 97), (0x001D, 32), (0x001E, 56))
"""Groups for which a key share is sent (RFC 8446, 4.2.7), and the key's length in octets."""
_UNCOMPRESSED: Final = {0x0017, 0x0018}
"""Groups whose key is an uncompressed point, which begins with 4."""
_TRANSPORT: Final = bytes.fromhex(
    "01048000ea60" "040480100000" "050480100000" "060480100000" "070480100000" "08024080" "09024080" "0a0103" "0b0119"
    "0e0108"
)  # fmt: skip
"""Transport parameters (RFC 9000, 18.2) before the client's connection ID; `_VERSIONS` follows it (RFC 9368)."""
_VERSIONS: Final = bytes.fromhex("110c00000001000000016b3343cf")


def client_initial(server_name: str) -> bytes:
    """Returns a client's first datagram; without SNI if `server_name` is an address."""
    hello = _client_hello(server_name)
    frame = b"\x06\0" + _number(len(hello)) + hello
    header = bytes([0xC0 | len(_PACKET_NUMBER) - 1]) + V1.to_bytes(4, "big")
    header += bytes([len(_CONNECTION)]) + _CONNECTION + bytes([len(_SOURCE)]) + _SOURCE + b"\0"
    header += _number(len(_PACKET_NUMBER) + len(frame) + _TAG)
    key, iv, protection = client_keys(V1, _CONNECTION)
    sealed = AESGCM(key).encrypt(iv, frame, header + _PACKET_NUMBER)  # the packet's number is 0: the nonce is the IV
    sample = sealed[4 - len(_PACKET_NUMBER) :][:16]
    mask = Cipher(AES(protection), ECB()).encryptor().update(sample)
    packet = bytes([header[0] ^ mask[0] & 0x0F]) + header[1:] + mask[1 : 1 + len(_PACKET_NUMBER)] + sealed
    return packet.ljust(_DATAGRAM, b"\0")


def _number(value: int) -> bytes:
    """Encodes a variable-length integer in two octets (RFC 9000, 16)."""
    return (value | 0x4000).to_bytes(2, "big")


def _client_hello(server_name: str) -> bytes:
    """Returns the ClientHello message (RFC 8446, 4.1.2)."""
    shares = b"".join(group.to_bytes(2, "big") + _counted(_key(group, size)) for group, size in _SHARES)
    extensions = [
        (51, _counted(shares)),
        (43, bytes.fromhex("020304")),
        (13, _counted(bytes.fromhex("040308040401050308050501020108070808"))),
        (10, _counted(b"".join(group.to_bytes(2, "big") for group, _ in _SHARES))),
    ]
    if not is_address(server_name):
        extensions.append((_SERVER_NAME, _counted(b"\0" + _counted(server_name.encode("ascii")))))
    extensions.append((16, _counted(b"\x02h3")))
    extensions.append((57, _TRANSPORT + b"\x0f" + bytes([len(_SOURCE)]) + _SOURCE + _VERSIONS))
    body = b"\x03\x03" + _RANDOM[:32] + b"\0" + _counted(bytes.fromhex("130213011303")) + b"\x01\0"
    body += _counted(b"".join(kind.to_bytes(2, "big") + _counted(data) for kind, data in extensions))
    return b"\x01" + len(body).to_bytes(3, "big") + body


def _key(group: int, size: int) -> bytes:
    return b"\x04" + _RANDOM[1:size] if group in _UNCOMPRESSED else _RANDOM[:size]


def _counted(data: bytes) -> bytes:
    """Prefixes data with its length in two octets."""
    return len(data).to_bytes(2, "big") + data
