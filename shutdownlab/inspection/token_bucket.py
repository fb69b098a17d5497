"""Policing: packets above the rate are dropped, not delayed (measured of the 2021 throttle, Xue et al., IMC 2021)."""

from __future__ import annotations


class Bucket:
    """A token bucket with a rate of `kbit` (1000 bit/s, of IP packets) and a depth of `burst` bytes."""

    __slots__ = ("burst", "last", "rate", "tokens")

    def __init__(self, kbit: int, burst: int, now: float) -> None:
        self.rate = kbit * 125.0
        self.burst = float(burst)
        self.tokens = self.burst
        self.last = now

    def take(self, size: int, now: float) -> bool:
        """Returns whether a packet of `size` bytes fits, and takes its tokens. If the bucket is full, any size fits."""
        if now > self.last:
            self.tokens = min(self.burst, self.tokens + (now - self.last) * self.rate)
            self.last = now
        if size <= self.tokens:
            self.tokens -= size
            return True
        if self.tokens >= self.burst:
            # A segmentation-offload frame larger than the bucket passes; later ones are dropped until its debt is paid.
            self.tokens -= size
            return True
        return False
