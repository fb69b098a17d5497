"""Policing: what exceeds the rate is dropped, not delayed (as measured of the 2021 throttle, Xue et al., IMC 2021)."""

from __future__ import annotations


class Bucket:
    """A token bucket; `kbit` is 1000 bit/s of IP packets, `burst` bytes its depth."""

    __slots__ = ("burst", "last", "rate", "tokens")

    def __init__(self, kbit: int, burst: int, now: float) -> None:
        self.rate = kbit * 125.0
        self.burst = float(burst)
        self.tokens = self.burst
        self.last = now

    def take(self, size: int, now: float) -> bool:
        """True if a packet of `size` bytes still fits. One larger than the burst fits when the bucket is full."""
        if now > self.last:
            self.tokens = min(self.burst, self.tokens + (now - self.last) * self.rate)
            self.last = now
        if size <= self.tokens:
            self.tokens -= size
            return True
        if self.tokens >= self.burst:
            # A segmentation-offload frame: let it pass, and let the debt be paid before the next.
            self.tokens -= size
            return True
        return False
