"""Recognises RTP and RTCP (RFC 3550), also on one port (RFC 5761).

RTP has no magic number, so two packets in sequence must match.
"""

from __future__ import annotations

from shutdownlab.inspection.recognisers.recogniser import UdpRecogniser, UdpSession
from shutdownlab.inspection.recognisers.result import Recognition

MAX_STEP = 16
"""The most that the sequence numbers of two packets may differ in one stream."""
MAX_TICKS = 10 * 90_000
"""The most that their timestamps may differ, in either direction as frames may be out of order: ten seconds of video's
clock (RFC 6184)."""


def recognise_rtcp(payload: bytes) -> Recognition | None:
    """Recognises a compound packet whose parts fill the datagram, or one with SRTCP's index and tag at its end."""
    length = len(payload)
    if length < 8 or payload[0] & 0xC0 != 0x80 or payload[1] not in (200, 201):
        return None
    index = 0
    parts = 0
    while index + 4 <= length and payload[index] & 0xC0 == 0x80 and 192 <= payload[index + 1] <= 213:
        index += 4 + 4 * ((payload[index + 2] << 8) | payload[index + 3])
        parts += 1
        if index == length:
            return Recognition("rtcp")
    reports = payload[0] & 0x1F
    first = 4 + 4 * ((payload[2] << 8) | payload[3])
    least = (28 if payload[1] == 200 else 8) + 24 * reports
    # SRTCP encrypts all after the first eight bytes: only the first part's length can be checked.
    return Recognition("rtcp") if least <= first <= length and length - first <= 512 and parts else None


def rtp_key(payload: bytes) -> tuple[int, int, int, int] | None:
    """Returns payload type, sequence number, SSRC and timestamp of a possible RTP packet; None if it cannot be one."""
    length = len(payload)
    if length < 13 or payload[0] & 0xC0 != 0x80:
        return None
    kind = payload[1] & 0x7F
    # 64-95 would collide with RTCP (RFC 5761); 35-63 are unassigned and unused.
    if 35 <= kind < 96 and kind not in (63,):
        return None
    sources = payload[0] & 0x0F
    header = 12 + 4 * sources
    if payload[0] & 0x10:
        if header + 4 > length:
            return None
        header += 4 + 4 * ((payload[header + 2] << 8) | payload[header + 3])
    if header > length:
        return None
    source, stamp = int.from_bytes(payload[8:12], "big"), int.from_bytes(payload[4:8], "big")
    return kind, (payload[2] << 8) | payload[3], source, stamp


def follows(before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> bool:
    """Returns whether `after` has the same source, a slightly higher sequence number and a plausible timestamp.

    Sequence numbers wrap at 2^16, timestamps at 2^32.
    """
    ticks = (after[3] - before[3]) & 0xFFFFFFFF
    fits = ticks <= MAX_TICKS or ticks >= (1 << 32) - MAX_TICKS
    return fits and before[2] == after[2] and before[2] != 0 and 0 < (after[1] - before[1]) & 0xFFFF <= MAX_STEP


class Rtcp(UdpRecogniser):
    protocols = ("rtcp",)
    order = 50
    first = frozenset(range(0x80, 0xC0))

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        return recognise_rtcp(payload)


class Rtp(UdpRecogniser):
    protocols = ("rtp",)
    order = 60
    first = frozenset(range(0x80, 0xC0))

    def recognise(self, payload: bytes, from_client: bool, dport: int, session: UdpSession) -> Recognition | None:
        before = session.memory.get(("rtp", from_client))
        key = rtp_key(payload)
        session.memory["rtp", from_client] = key
        if key is None or before is None or not follows(before, key):
            return None
        result = Recognition("rtp")
        result.variant = f"payload type {key[0]}"
        return result
