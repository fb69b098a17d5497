"""Look-ups whose time does not grow with the table: names by suffix, addresses by prefix.

Sized for national block lists: a million suffixes and a hundred thousand prefixes. Both are hash tables: a name costs
one probe per label, an address one per prefix length in use (at most 33 for IPv4, 129 for IPv6). Measured by
`benchmarks/catalogue.py`: 96 bytes a suffix and 72 bytes a prefix in all, and apart from cache misses the same rate for
a thousand entries as for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Generic, TypeVar

from shutdownlab.config.addresses import IpPrefix
from shutdownlab.config.domains import domain
from shutdownlab.config.wording import Expected

Value = TypeVar("Value")


class SuffixMap(Generic[Value]):
    """Maps domains, each with everything below it, to values; the longest match wins."""

    __slots__ = ("_values",)

    def __init__(self, entries: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[str, Value] = {}
        for suffix, value in entries:
            self.add(suffix, value)

    def add(self, suffix: str, value: Value) -> None:
        """Adds a suffix in any spelling (`*.Example.ORG.`, an IDN); ignores text that is not a domain name."""
        with suppress(Expected):
            self._values[domain(suffix)] = value

    def find(self, name: str) -> Value | None:
        """Returns the value of the longest suffix of `name`, which must be normalised as recognisers do; or None."""
        values = self._values
        at = 0
        while True:
            value = values.get(name[at:] if at else name)
            if value is not None:
                return value
            at = name.find(".", at) + 1
            if at == 0:
                return None

    def __len__(self) -> int:
        return len(self._values)


class PrefixMap(Generic[Value]):
    """Maps IPv4 and IPv6 prefixes to values; the longest match wins."""

    __slots__ = ("_first", "_v4", "_v6")

    def __init__(self, entries: Iterable[tuple[IpPrefix, Value]] = ()) -> None:
        by_length: dict[tuple[int, int], dict[int, Value]] = {}
        first = bytearray(1 << 16)
        for network, value in entries:
            if network.version == 4:
                start = int(network.network_address) >> 16
                count = max(1, 1 << (16 - network.prefixlen)) if network.prefixlen < 16 else 1
                first[start : start + count] = b"\1" * count
            shift = network.max_prefixlen - network.prefixlen
            table = by_length.setdefault((network.version, shift), {})
            table[int(network.network_address) >> shift] = value
        # By the first two bytes of an IPv4 address: rejects most addresses, which are in no prefix, at once.
        self._first = bytes(first)
        # The smallest shift first, which is the longest prefix.
        self._v4 = [(shift, by_length[4, shift]) for version, shift in sorted(by_length) if version == 4]
        self._v6 = [(shift, by_length[6, shift]) for version, shift in sorted(by_length) if version == 6]

    def find(self, address: bytes) -> Value | None:
        """Returns the value of the longest prefix that contains `address` (4 or 16 bytes), or None."""
        if len(address) == 4 and not self._first[(address[0] << 8) | address[1]]:
            return None
        number = int.from_bytes(address, "big")
        for shift, table in self._v4 if len(address) == 4 else self._v6:
            value = table.get(number >> shift)
            if value is not None:
                return value
        return None

    def __len__(self) -> int:
        return sum(len(table) for _, table in (*self._v4, *self._v6))
