"""Emulates bandwidth, delay and loss on an interface by the kernel's queueing disciplines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from shutdownlab.system.features import KernelFeatures
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace

_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)bit")
# Packets that netem can hold: about 100 ms of full-size packets at 1 Gbit/s.
_NETEM_LIMIT = 10_000
_QUEUE_SECONDS = 0.05
_LARGEST_PACKET = 1_514


def parse_rate(text: str) -> int:
    """Parses "150kbit", "30mbit" or "1.5gbit" to bits per second. Raises ValueError."""
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or not float(match[1]):
        raise ValueError(f"bandwidth {text!r} must be a number with kbit, mbit or gbit, such as 30mbit")
    return round(float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True)
class Shape:
    """The properties of a link. rate: bits per second, or None for no limit. delay_ms: one way. loss: share, 0 to 1."""

    rate: int | None
    delay_ms: float
    loss: float

    @classmethod
    def parse(cls, bandwidth: str | None, delay_ms: float, loss: float) -> Shape | None:
        """Builds a Shape; None for a link without limit, delay or loss. Raises ValueError."""
        if delay_ms < 0 or not 0 <= loss <= 1:
            raise ValueError(f"delay_ms must not be negative ({delay_ms}), loss must be from 0 to 1 ({loss})")
        if not bandwidth and not delay_ms and not loss:
            return None
        return cls(parse_rate(bandwidth) if bandwidth else None, delay_ms, loss)

    @property
    def needs_netem(self) -> bool:
        return bool(self.delay_ms or self.loss)

    def without_netem(self) -> Shape:
        """Returns the part for the link's ends when a delay line emulates delay and loss."""
        return replace(self, delay_ms=0, loss=0)


def shape(namespace: Namespace, index: int, wanted: Shape, features: KernelFeatures) -> None:
    """Shapes the traffic sent by interface `index`. Raises MachineCannot if the kernel can't limit the bandwidth."""
    parent = "root"
    with namespace.netlink() as netlink:
        if wanted.rate is not None:
            octets = wanted.rate // 8
            # Enough for a timer tick (at most 4 ms) at the full rate, and for at least two full-size packets.
            burst = max(_LARGEST_PACKET * 2, octets // 250)
            if features.htb and wanted.needs_netem:
                netlink.tc("add", "htb", index, 0x10000, default=1)
                netlink.tc("add-class", "htb", index, 0x10001, parent=0x10000, rate=octets, ceil=octets, burst=burst)
                parent = "0x10001"
            elif features.tbf:
                queue = max(10 * _LARGEST_PACKET, round(octets * _QUEUE_SECONDS))
                netlink.tc("add", "tbf", index, 0x10000, rate=octets, burst=burst, limit=queue + burst)
            else:
                raise MachineCannot(
                    "limit a link's bandwidth",
                    "the kernel has neither sch_tbf nor sch_htb",
                    "sudo modprobe sch_tbf, or leave `bandwidth` out of the topology",
                )
        if wanted.needs_netem:
            netlink.tc(
                "add",
                "netem",
                index,
                0x20000,
                delay=round(wanted.delay_ms * 1000),
                loss=wanted.loss * 100,
                limit=_NETEM_LIMIT,
                **({} if parent == "root" else {"parent": int(parent, 16)}),
            )
