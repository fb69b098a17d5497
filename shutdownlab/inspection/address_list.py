"""Parses address block lists: a prefix or an address per line; # and ; begin comments.

Also accepts ranges (`192.0.2.1-192.0.2.9`) and the output of `ipset save` (`add NAME 192.0.2.0/24`). A prefix that
occurs twice, or lies within another of the list, counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from shutdownlab.config.addresses import WIDTH, IpPrefix, network, plain_prefix, prefix
from shutdownlab.config.document import Expected
from shutdownlab.config.garbage import nothing_is_garbage
from shutdownlab.inspection.list_mistakes import ListMistakes

MAX_BYTES: Final = 64 << 20
MAX_PREFIXES: Final = 1_000_000
"""About as many as there are IPv4 prefixes in BGP."""
_LENGTH_BITS: Final = 8
"""Prefixes are kept as one integer each, which sorts fast: the first address, shifted left by these bits for the
length."""
_LENGTH_MASK: Final = (1 << _LENGTH_BITS) - 1
_Plain = tuple[int, int, int]
"""A prefix as `plain_prefix` returns it: IP version, first address, length."""
_HINT: Final = "one prefix, address or range per line; # starts a comment"


def read_addresses(text: bytes, file: str) -> tuple[IpPrefix, ...]:
    """Returns the list's prefixes in address order, without duplicates or prefixes within others; IPv4 first.

    Raises `BadInput` with the first mistakes, each with its line. Objects are made only for the prefixes returned, as
    making one costs more than parsing it.
    """
    mistakes = ListMistakes(file, "an address or a prefix", "prefixes")
    mistakes.raise_if_packed(text)
    with nothing_is_garbage():
        found = _numbers(text.removeprefix(b"\xef\xbb\xbf").splitlines(), mistakes)
        mistakes.raise_if_bad(sum(map(len, found.values())), MAX_PREFIXES)
        return (*_outermost(4, found[4]), *_outermost(6, found[6]))


def _numbers(lines: Iterable[bytes], mistakes: ListMistakes) -> dict[int, list[int]]:
    """Returns the prefixes in these lines as integers (see `_LENGTH_BITS`), by IP version."""
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
                    for version, first, length in _prefixes(decoded):
                        found[version].append(first << _LENGTH_BITS | length)
                except Expected as error:
                    mistakes.add(number, entry, Expected(error.expected, error.hint or _HINT))
                continue
        version, first, length = plain
        found[version].append(first << _LENGTH_BITS | length)
    return found


def _outermost(version: int, numbers: list[int]) -> Iterator[IpPrefix]:
    """Yields the prefixes that lie in no other one, in address order. Sorted, a containing prefix comes first."""
    width = WIDTH[version]
    end = -1
    for number in sorted(numbers):
        first = number >> _LENGTH_BITS
        if first > end:
            length = number & _LENGTH_MASK
            end = first + (1 << (width - length)) - 1
            yield prefix(version, first, length)


def _prefixes(entry: str) -> Iterable[_Plain]:
    """Returns the prefixes in one line; raises `Expected`."""
    words = entry.split()
    if words[0] == "add" and len(words) >= 3:  # further words, such as a timeout, only matter to ipset
        return _prefixes(words[2])
    if words[0] in {"create", "-N", "COMMIT"}:
        return ()
    first, dash, last = entry.partition("-")
    if not dash:
        return (_prefix(entry),)
    (version, low, _), (other, high, _) = _end(first), _end(last)
    if version != other or low > high:
        raise Expected("a range from a lower address to a higher one of the same IP version", _HINT)
    return _between(version, low, high)


def _between(version: int, low: int, high: int) -> Iterator[_Plain]:
    """Yields the fewest prefixes that cover a range of addresses."""
    width = WIDTH[version]
    while low <= high:
        free = (low & -low).bit_length() - 1 if low else width  # zeros at the address's end
        bits = min(free, (high - low + 1).bit_length() - 1)
        yield version, low, width - bits
        low += 1 << bits


def _prefix(text: str) -> _Plain:
    if (plain := plain_prefix(text)) is not None:
        return plain
    found = network(text)
    return found.version, int(found.network_address), found.prefixlen


def _end(text: str) -> _Plain:
    found = _prefix(text.strip())
    if found[2] < WIDTH[found[0]]:
        raise Expected("an address at either end of a range", _HINT)
    return found
