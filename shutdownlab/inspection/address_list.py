"""Lists of addresses in files of their own, as block lists are: a prefix or an address a line; # and ; begin comments.

Also what other programs write: a range (`192.0.2.1-192.0.2.9`), and the lines of `ipset save` (`add NAME
192.0.2.0/24`). What is there twice, or lies within another prefix of the list, counts once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from shutdownlab.config.addresses import WIDTH, Address, IpPrefix, network, plain_prefix, prefix
from shutdownlab.config.document import Expected
from shutdownlab.config.garbage import nothing_is_garbage
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
    mistakes = ListMistakes(file, "an address or a prefix", "prefixes")
    with nothing_is_garbage():
        found = _numbers(text.removeprefix(b"\xef\xbb\xbf").splitlines(), mistakes)
        mistakes.raise_if_bad(sum(map(len, found.values())), MAX_PREFIXES)
        return (*_outermost(4, found[4]), *_outermost(6, found[6]))


def _numbers(lines: Iterable[bytes], mistakes: ListMistakes) -> dict[int, list[int]]:
    """The prefixes of these lines as numbers (see `_LENGTH_BITS`), by IP version."""
    found: dict[int, list[int]] = {4: [], 6: []}
    for number, line in enumerate(lines, start=1):
        plain = plain_prefix(line.decode("utf-8", "replace"))
        if plain is None:
            entry = line.partition(b"#")[0].partition(b";")[0].strip()
            if not entry:
                continue
            decoded = entry.decode("utf-8", "replace")
            plain = plain_prefix(decoded)
            if plain is None:
                try:
                    for each in _prefixes(decoded):
                        found[each.version].append(int(each.network_address) << _LENGTH_BITS | each.prefixlen)
                except Expected as error:
                    mistakes.add(number, entry, Expected(error.expected, error.hint or _HINT))
                continue
        version, first, length = plain
        found[version].append(first << _LENGTH_BITS | length)
    return found


def _outermost(version: int, numbers: list[int]) -> Iterator[IpPrefix]:
    """Those that no other one holds, by their addresses; of those with the same first one the shortest comes first."""
    width = WIDTH[version]
    end = -1
    for number in sorted(numbers):
        first = number >> _LENGTH_BITS
        if first > end:
            length = number & _LENGTH_MASK
            end = first + (1 << (width - length)) - 1
            yield prefix(version, first, length)


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
    found = network(text.strip())
    if found.num_addresses > 1:
        raise Expected("an address at either end of a range", _HINT)
    return found.network_address
