"""A set of prefixes with fast look-up of covering and covered ones, even among hundreds of thousands."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from shutdownlab.config.addresses import WIDTH, Address, IpPrefix


class PrefixTable:
    """A set of prefixes. A look-up takes one step per prefix length in the set, however many prefixes there are."""

    __slots__ = ("_by_length", "_firsts", "_lengths")

    def __init__(self, prefixes: Iterable[IpPrefix] = ()) -> None:
        self._by_length: dict[tuple[int, int], dict[int, IpPrefix]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        self._firsts: list[tuple[int, int, int]] | None = None
        for prefix in prefixes:
            self.add(prefix)

    def add(self, prefix: IpPrefix) -> None:
        """Adds a prefix; an equal one that is present already stays."""
        version, length = prefix.version, prefix.prefixlen
        found = self._by_length.get((version, length))
        if found is None:
            found = self._by_length[version, length] = {}
            insort(self._lengths[version], length)
        found.setdefault(int(prefix.network_address) >> (WIDTH[version] - length), prefix)
        self._firsts = None

    def around(self, prefix: IpPrefix) -> Iterator[IpPrefix]:
        """Yields the prefixes that cover `prefix`, including itself, shortest first."""
        return self._holding(prefix.version, int(prefix.network_address), prefix.prefixlen)

    def around_address(self, address: Address) -> Iterator[IpPrefix]:
        """Yields the prefixes that cover `address`, shortest first."""
        return self._holding(address.version, int(address), WIDTH[address.version])

    def _holding(self, version: int, number: int, most: int) -> Iterator[IpPrefix]:
        width = WIDTH[version]
        for length in self._lengths[version]:
            if length > most:
                return
            found = self._by_length[version, length].get(number >> (width - length))
            if found is not None:
                yield found

    def inside(self, prefix: IpPrefix) -> Iterator[IpPrefix]:
        """Yields the prefixes within `prefix`, excluding itself."""
        if self._firsts is None:
            self._firsts = sorted(
                (version, key << (WIDTH[version] - length), length)
                for (version, length), found in self._by_length.items()
                for key in found
            )
        version, first = prefix.version, int(prefix.network_address)
        end = first + prefix.num_addresses
        for place in range(bisect_left(self._firsts, (version, first, prefix.prefixlen + 1)), len(self._firsts)):
            other, start, length = self._firsts[place]
            if (other, start) >= (version, end):
                return
            if length > prefix.prefixlen:
                yield self._by_length[version, length][start >> (WIDTH[version] - length)]
