"""Recognises fully encrypted traffic by the Great Firewall's published rule; computes entropy.

Wu et al., "How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic", USENIX Security 2023,
Algorithm 1: a TCP connection passes if its first data packet meets any of five exemptions.
"""

from __future__ import annotations

from collections import Counter
from math import log2

from shutdownlab.inspection.recognisers.recogniser import TcpRecogniser
from shutdownlab.inspection.recognisers.result import Recognition
from shutdownlab.inspection.recognisers.tolerance import Tolerance

PRINTABLE = bytes(range(0x20, 0x7F))
_MARKED = bytes(byte in PRINTABLE for byte in range(256))
"""Translation table: 1 for a printable byte, 0 for any other, so that bytes methods can count and search."""
_LONG_RUN = b"\1" * 21
_METHODS = (b"GET ", b"PUT ", b"POST", b"HEAD")
ENTROPY_SAMPLE = 1024
_OBFS4_CLIENT = (149, 8192)
"""Minimum and maximum bytes of obfs4's client handshake: representative, 85 to 8128 of padding, two MACs
(obfs4-spec.txt §4)."""
_OBFS4_SERVER = 96
"""Minimum bytes of its server handshake."""


def fully_encrypted(first: bytes) -> bool:
    """Returns whether the rule would block a connection whose first data packet from the client is `first`."""
    length = len(first)
    if length == 0:
        return False
    ones = int.from_bytes(first, "big").bit_count()
    # Ex1: mean bits set per byte <= 3.4 or >= 4.6, in integers so that the bounds are exact.
    if ones * 10 <= 34 * length or ones * 10 >= 46 * length:
        return False
    # Ex5: looks like TLS ([16-17] 03 [00-09]) or HTTP.
    if length >= 3 and first[0] in (0x16, 0x17) and first[1] == 3 and first[2] <= 9:
        return False
    if first[:4] in _METHODS:
        return False
    # Ex2: the first six bytes are printable ASCII.
    marked = first.translate(_MARKED)
    if length >= 6 and marked.startswith(_LONG_RUN[:6]):
        return False
    # Ex3: more than half of all bytes are printable.
    if marked.count(1) * 2 > length:
        return False
    # Ex4: more than 20 contiguous bytes are printable.
    return _LONG_RUN not in marked


def entropy(data: bytes) -> float:
    """Returns the Shannon entropy of the first `ENTROPY_SAMPLE` bytes, in bits per byte (0 to 8)."""
    sample = data[:ENTROPY_SAMPLE]
    length = len(sample)
    if length == 0:
        return 0.0
    return log2(length) - sum(count * log2(count) for count in Counter(sample).values()) / length


class FullyEncrypted(TcpRecogniser):
    protocols = ("fet",)
    order = 200
    fallback = True

    def recognise(self, client: bytes, server: bytes, dport: int, tolerance: Tolerance) -> Recognition | None:
        if not fully_encrypted(client):
            return None
        result = Recognition("fet")
        result.sample = client[:ENTROPY_SAMPLE]
        if _OBFS4_CLIENT[0] <= len(client) <= _OBFS4_CLIENT[1] and (not server or len(server) >= _OBFS4_SERVER):
            result.variant = "obfs4"
        return result
