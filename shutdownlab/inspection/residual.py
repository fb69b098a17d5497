"""Residual censorship: connections that stay blocked for a time after a decision (Bock et al., WOOT 2021)."""

from __future__ import annotations

from shutdownlab.config.numbers import TCP, UDP
from shutdownlab.inspection.packet import Packet
from shutdownlab.inspection.policy import Verdict


class ResidualBlock:
    """A key that is blocked until `until`, in the engine's time (seconds)."""

    __slots__ = ("after", "client", "directions", "key", "refreshed", "rule", "seconds", "until", "verdict")

    def __init__(self, key: bytes, client: bytes, verdict: Verdict, rule: int, now: float) -> None:
        spec = verdict.residual
        assert spec is not None
        self.key = key
        self.client = client
        """The address of the end that opened the blocked connection."""
        self.verdict = verdict
        self.rule = rule
        self.seconds = spec.seconds
        self.refreshed = spec.refreshed
        self.directions = spec.directions
        self.until = now + spec.seconds
        self.after = verdict.after_packets
        """How many packets still pass."""


def four_tuple(src: bytes, sport: int, dst: bytes, dport: int, proto: int) -> bytes:
    """Returns the key of a connection, the same for both directions."""
    one = src + sport.to_bytes(2, "big")
    two = dst + dport.to_bytes(2, "big")
    return (one + two if one <= two else two + one) + bytes((proto,))


def three_tuple(client: bytes, server: bytes, port: int, proto: int) -> bytes:
    """Returns the key of a client's address, a server's address and its port."""
    return client + server + port.to_bytes(2, "big") + bytes((proto, 0))


def two_tuple(one: bytes, other: bytes) -> bytes:
    """Returns the key of two addresses, the same for both directions."""
    return one + other if one <= other else other + one


class ResidualBlocks:
    """All residual blocks in force. A look-up takes constant time; callers skip it while `by_key` is empty."""

    __slots__ = ("by_key",)

    def __init__(self) -> None:
        self.by_key: dict[bytes, ResidualBlock] = {}

    def add(
        self, verdict: Verdict, rule: int, src: bytes, sport: int, dst: bytes, dport: int, proto: int, now: float
    ) -> ResidualBlock:
        """Adds and returns a block of the connection that `src` opened to `dst` (4-tuple), of all their connections to
        that port (3-tuple), or of all packets between them (2-tuple), as `verdict.residual` says. `now` in seconds."""
        assert verdict.residual is not None
        if verdict.residual.key == "4-tuple":
            key = four_tuple(src, sport, dst, dport, proto)
        elif verdict.residual.key == "2-tuple":
            key = two_tuple(src, dst)
        else:
            key = three_tuple(src, dst, dport, proto)
        block = ResidualBlock(key, src, verdict, rule, now)
        self.by_key[key] = block
        return block

    def find(self, packet: Packet, now: float) -> ResidualBlock | None:
        """Returns the block that covers this packet, or None; restarts its time if the block is `refreshed`."""
        table = self.by_key
        found = table.get(two_tuple(packet.src, packet.dst))
        if found is None and packet.proto in (TCP, UDP):
            found = table.get(four_tuple(packet.src, packet.sport, packet.dst, packet.dport, packet.proto))
            if found is None:
                found = table.get(three_tuple(packet.src, packet.dst, packet.dport, packet.proto))
            if found is None:
                found = table.get(three_tuple(packet.dst, packet.src, packet.sport, packet.proto))
        if found is None:
            return None
        if now >= found.until:
            del table[found.key]
            return None
        if found.refreshed:
            found.until = now + found.seconds
        return found

    def expire(self, now: float) -> int:
        """Drops expired blocks; returns how many."""
        over = [key for key, block in self.by_key.items() if now >= block.until]
        for key in over:
            del self.by_key[key]
        return len(over)
