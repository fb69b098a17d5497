"""The answer to a name lookup, and whether it is plausible. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Addresses to which no public name resolves. Of the special-purpose ranges, shared address space (100.64/10) and the
# benchmarking (198.18/15) and documentation ranges are missing: the emulated Internet itself uses them.
_BOGONS: Final = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4",
        "240.0.0.0/4", "::/127", "fc00::/7", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A name's addresses, in the order of the answer."""

    addresses: tuple[str, ...]

    @property
    def is_bogon(self) -> bool:
        return any(ipaddress.ip_address(a) in block for a in self.addresses for block in _BOGONS)

    def agrees_with(self, control: Sequence[str]) -> bool:
        """Whether at least one address is a true one, or the true ones are unknown (`control` is empty)."""
        return not control or not set(self.addresses).isdisjoint(control)
