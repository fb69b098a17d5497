"""Lists of addresses in files of their own, as block lists are: a prefix or an address a line; # and ; begin comments.

Also what other programs write: a range (`192.0.2.1-192.0.2.9`), and the lines of `ipset save` (`add NAME
192.0.2.0/24`). What is there twice, or lies within another prefix of the list, counts once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shutdownlab.config.addresses import Address, IpPrefix, network, plain_prefix
from shutdownlab.config.document import Expected
from shutdownlab.inspection.list_mistakes import ListMistakes

MAX_BYTES: Final = 64 << 20
MAX_PREFIXES: Final = 1_000_000
"""Somewhat more than all that BGP announces."""
_LENGTH_BITS: Final = 8
"""A prefix as one number, which sorts quickly: its first address, then so many bits for its length."""
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1
_HINT: Final = "one prefix, address or range a line; # begins a comment"


def read_addresses(text: bytes, file: str) -> tuple[IpPrefix, ...]:
    """The prefixes that a list holds, each once and none within another, in the order of their addresses.

    Raises `BadInput` with the first mistakes, each with its line. Prefixes are numbers until those that count are
    known: making an object of one costs more than reading it.
    """
    found: dict[int, list[int]] = {4: [], 6: []}
    mistakes = ListMistakes(file, "an address or a prefix", "prefixes")
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        entry = line.partition(b"#")[0].partition(b";")[0].strip()
        if not entry:
            continue
        decoded = entry.decode("utf-8", "replace")
        plain = plain_prefix(decoded)
        if plain is not None:
            version, first, length = plain
            found[version].append(first << _LENGTH_BITS | length)
            continue
        try:
            for prefix in _prefixes(decoded):
                found[prefix.version].append(int(prefix.network_address) << _LENGTH_BITS | prefix.prefixlen)
        except Expected as error:
            mistakes.add(number, entry, Expected(error.expected, error.hint or _HINT))
    mistakes.raise_if_bad(sum(map(len, found.values())), MAX_PREFIXES)
    return tuple(_networks(found))


def _networks(found: Mapping[int, list[int]]) -> Iterator[IpPrefix]:
    """Those that no other one holds, by their addresses, out of numbers by IP version: see `_LENGTH_BITS`."""
    for place, length in _outermost(found[4], 32):
        yield ipaddress.IPv4Network((place, length))
    for place, length in _outermost(found[6], 128):
        yield ipaddress.IPv6Network((place, length))


def _outermost(numbers: list[int], width: int) -> Iterator[tuple[int, int]]:
    """First address and length of each that no other one holds; of those with the same one the shortest is first."""
    end = -1
    for number in sorted(numbers):
        first = number >> _LENGTH_BITS
        if first > end:
            length = number & _LENGTH_MASK
            end = first + (1 << (width - length)) - 1
            yield first, length


def _prefixes(entry: str) -> Iterable[IpPrefix]:
    """One line's; raises `Expected`."""
    words = entry.split()
    if words[0] == "add" and len(words) >= 3:  # what follows, such as a timeout, is about the set of that program
        return _prefixes(words[2])
    if words[0] in {"create", "-N", "COMMIT"}:
        return ()
    first, dash, last = entry.partition("-")
    if not dash:
        return (network(entry),)
    ends = [_end(first), _end(last)]
    if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
        raise Expected("a range from a lower address to a higher one of the same IP version", _HINT)
    return tuple(ipaddress.summarize_address_range(*ends))


def _end(text: str) -> Address:
    prefix = network(text.strip())
    if prefix.num_addresses > 1:
        raise Expected("an address at either end of a range", _HINT)
    return prefix.network_address
