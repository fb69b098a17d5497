"""Metadata of a connection's first packets: direction, size, entropy and timing, without parsing the payload.

Censors detect tunnels by these, among them TLS within TLS and fully encrypted protocols: Xue et al., "Fingerprinting
Obfuscated Proxy Traffic with Encapsulated TLS Handshakes", USENIX Security 2024; Wu et al., USENIX Security 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shutdownlab.inspection.recognisers.encrypted import ENTROPY_SAMPLE, entropy

if TYPE_CHECKING:
    from shutdownlab.inspection.conditions import FirstPacket

MOST: Final = 32
"""The most packets per connection that a rule can ask about."""


class SeenPacket:
    """A packet with payload: its direction, payload `size` on the wire in bytes, captured payload `data` (at most
    `ENTROPY_SAMPLE` bytes of it), and `gap`, seconds since the previous one (0 for the first)."""

    __slots__ = ("_entropy", "data", "from_client", "gap", "size")

    def __init__(self, from_client: bool, size: int, data: bytes, gap: float) -> None:
        self.from_client = from_client
        self.size = size
        self.data = data
        self.gap = gap
        self._entropy = -1.0

    @property
    def entropy(self) -> float:
        """Shannon entropy of the payload's first 1,024 bytes, in bits per byte: 0 to 8."""
        if self._entropy < 0.0:
            self._entropy = entropy(self.data)
            self.data = b""
        return self._entropy


class Trace:
    """The first `wanted` packets with payload of one connection, in arrival order, retransmissions included."""

    __slots__ = ("last", "packets", "scores", "wanted")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.scores: dict[int, float] = {}
        """Classifier scores (0 to 1), by matcher index."""
        self.packets: list[SeenPacket] = []
        self.last = 0.0

    def take(self, from_client: bool, data: bytes, size: int, segment: int, now: float) -> None:
        """Adds a packet, or each packet of a segmentation-offload frame with `segment` bytes a packet (0: one packet).

        `size`: payload bytes on the wire, of which `data` are captured; `now` in seconds.
        """
        step = segment if 0 < segment < size else size
        at = 0
        while at < size and len(self.packets) < self.wanted:
            gap = now - self.last if self.packets else 0.0
            part = data[at : min(at + step, at + ENTROPY_SAMPLE)]
            self.packets.append(SeenPacket(from_client, min(step, size - at), part, max(gap, 0.0)))
            self.last = now
            at += step


class PacketShape:
    """A rule's condition on one of the first packets."""

    __slots__ = ("entropy_high", "entropy_low", "gap_high", "gap_low", "size_high", "size_low", "who")

    def __init__(self, asked: FirstPacket) -> None:
        self.who = {"both": -1, "client": 1, "server": 0}[asked.sender]
        self.size_low = asked.size_at_least
        self.size_high = asked.size_at_most
        self.entropy_low = asked.entropy_at_least
        self.entropy_high = asked.entropy_at_most
        self.gap_low = asked.gap_at_least
        self.gap_high = -1.0 if asked.gap_at_most is None else asked.gap_at_most

    def fits(self, packet: SeenPacket) -> bool:
        if self.who >= 0 and (self.who == 1) is not packet.from_client:
            return False
        if not self.size_low <= packet.size <= self.size_high:
            return False
        if packet.gap < self.gap_low or 0.0 <= self.gap_high < packet.gap:
            return False
        if self.entropy_low <= 0.0 and self.entropy_high >= 8.0:
            return True
        return self.entropy_low <= packet.entropy <= self.entropy_high
