"""Bandwidth, delay and loss on one interface, by the kernel's queueing disciplines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from shutdownlab.system.features import KernelFeatures
from shutdownlab.system.kernel import MachineCannot
from shutdownlab.system.namespace import Namespace

_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)bit")
# Packets netem holds while they wait: 1 Gbit/s for 100 ms in full-size packets.
_NETEM_LIMIT = 10_000
_QUEUE_SECONDS = 0.05
_LARGEST_PACKET = 1_514


def parse_rate(text: str) -> int:
    """Bits a second of "150kbit", "30mbit", "1.5gbit". Raises ValueError."""
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or not float(match[1]):
        raise ValueError(f"bandwidth {text!r} must be a number with kbit, mbit or gbit, such as 30mbit")
    return round(float(match[1]) * _UNITS[match[2]])


@dataclass(frozen=True)
class Shape:
    """What a link does to what passes it. rate: bits a second or None; delay_ms: one way; loss: share, 0 to 1."""

    rate: int | None
    delay_ms: float
    loss: float

    @classmethod
    def parse(cls, bandwidth: str | None, delay_ms: float, loss: float) -> Shape | None:
        """None for a link that does nothing to it. Raises ValueError."""
        if delay_ms < 0 or not 0 <= loss <= 1:
            raise ValueError(f"delay_ms must not be negative ({delay_ms}), loss must be from 0 to 1 ({loss})")
        if not bandwidth and not delay_ms and not loss:
            return None
        return cls(parse_rate(bandwidth) if bandwidth else None, delay_ms, loss)

    @property
    def needs_netem(self) -> bool:
        return bool(self.delay_ms or self.loss)

    def without_netem(self) -> Shape:
        """What is left for the ends when a delay line does the rest."""
        return replace(self, delay_ms=0, loss=0)


def shape(namespace: Namespace, index: int, wanted: Shape, features: KernelFeatures) -> None:
    """Shape what interface `index` sends. Raises MachineCannot where the kernel has no shaper for a bandwidth."""
    parent = "root"
    with namespace.netlink() as netlink:
        if wanted.rate is not None:
            octets = wanted.rate // 8
            # Room for one timer tick (4 ms at worst) at the full rate, and for one full-size packet.
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
