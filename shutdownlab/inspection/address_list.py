"""Parses address block lists: a prefix or an address per line; # and ; begin comments.

Also accepts ranges (`192.0.2.1-192.0.2.9`) and the output of `ipset save` (`add NAME 192.0.2.0/24`). A prefix that
occurs twice, or lies within another of the list, counts once.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

from shutdownlab.config.addresses import MAPPED_ABOVE, WIDTH, IpPrefix, network, plain_prefix, prefix
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


def _numbers(lines: Sequence[bytes], mistakes: ListMistakes) -> dict[int, list[int]]:
    """Returns the prefixes in these lines as integers (see `_LENGTH_BITS`), by IP version."""
    found: dict[int, list[int]] = {4: [], 6: []}
    forms = list(_FORMS)
    for begins in range(0, len(lines), _AT_ONCE):
        part = lines[begins : begins + _AT_ONCE]
        if not _add_alike(found, part, forms):
            _add_each(found, part, begins + 1, mistakes)
    return found


def _add_alike(found: dict[int, list[int]], lines: Sequence[bytes], forms: list[_Form]) -> bool:
    """Adds the prefixes in lines that are all of one form. Returns False, having added nothing, if they are not.

    `forms`: those that are tried; the one of these lines becomes the first.
    """
    text = b"\n".join(lines)
    for form in forms:
        matches = form.pattern.findall(text)
        if len(matches) == len(lines):
            try:
                found[form.version] += form.numbers(matches)
            except (OSError, UnicodeDecodeError, _OddError):
                return False
            if form is not forms[0]:
                forms.remove(form)
                forms.insert(0, form)
            return True
    return False


class _OddError(Exception):
    """A line of a form means no prefix: it is to be read on its own."""


@dataclass(frozen=True, slots=True)
class _Form:
    """A kind of line, of which a whole list may be: read many at once, in a third of the time or less."""

    version: int
    pattern: re.Pattern[bytes]
    """A line or a comment; its groups are an address, and a length or the last address of a range, or empty."""

    def numbers(self, matches: Sequence[tuple[bytes, bytes, bytes]]) -> list[int]:
        """Returns the prefixes as integers. Raises `OSError`, `UnicodeDecodeError` or `_OddError` if one is none."""
        matches = [match for match in matches if match[0]]  # the others are comments
        if not matches:
            return []
        starts, lengths, ends = zip(*matches, strict=True)
        firsts = self._addresses(starts)
        width = WIDTH[self.version]
        if any(ends):
            if not all(ends):
                raise _OddError
            return self._ranges(firsts, self._addresses(ends))
        if not any(lengths):
            return [first << _LENGTH_BITS | width for first in firsts]
        bits = [_LENGTHS.get(length, -1) if length else width for length in lengths]
        hosts = _HOST_BITS[self.version]
        if min(bits) < 0 or max(bits) > width or any(first & hosts[n] for first, n in zip(firsts, bits, strict=True)):
            raise _OddError
        return [first << _LENGTH_BITS | n for first, n in zip(firsts, bits, strict=True)]

    def _addresses(self, texts: Sequence[bytes]) -> Sequence[int]:
        parts = b"\n".join(texts).decode("ascii").split("\n")
        if self.version == 4:
            packed = b"".join(map(inet_pton, repeat(AF_INET), parts))
            return struct.unpack(f">{len(parts)}I", packed)
        packed = b"".join(map(inet_pton, repeat(AF_INET6), parts))
        halves = struct.unpack(f">{2 * len(parts)}Q", packed)
        numbers = [high << 64 | low for high, low in zip(halves[::2], halves[1::2], strict=True)]
        if any(number >> 32 == MAPPED_ABOVE for number in numbers):
            raise _OddError
        return numbers

    def _ranges(self, lows: Sequence[int], highs: Sequence[int]) -> list[int]:
        width = WIDTH[self.version]
        sizes = [high - low + 1 for low, high in zip(lows, highs, strict=True)]
        if min(sizes) < 1:
            raise _OddError
        if not any((size | low) & (size - 1) for low, size in zip(lows, sizes, strict=True)):  # a prefix each
            end = width + 1
            return [low << _LENGTH_BITS | end - size.bit_length() for low, size in zip(lows, sizes, strict=True)]
        return [
            first << _LENGTH_BITS | length
            for low, high in zip(lows, highs, strict=True)
            for _, first, length in _between(self.version, low, high)
        ]


_AT_ONCE: Final = 256
"""How many lines are tried at once."""
# Nothing here is possessive (`++`): Python before 3.11.5, as Debian 12 has, gets it wrong (gh-101955, gh-106052).
_COMMENT: Final = rb"(?:[#;][^\n]*)?"
_FORMS: Final = tuple(
    _Form(version, re.compile(rb"^[ \t]*(?:%b|%b)$" % (form.replace(b"IP", ip), _COMMENT), re.MULTILINE))
    for version, ip in ((4, rb"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"), (6, rb"[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"))
    for form in (
        rb"(IP)(?:/([0-9]+))?()[ \t]*" + _COMMENT,
        rb"add[ \t]+[^\s#;]+[ \t]+(IP)(?:/([0-9]+)|-(IP))?(?:[ \t][^\n]*)?",
        rb"(IP)()[ \t]*-[ \t]*(IP)[ \t]*" + _COMMENT,
    )
)
_LENGTHS: Final = {str(length).encode(): length for length in range(129)}
_HOST_BITS: Final = {version: [(1 << width - n) - 1 for n in range(width + 1)] for version, width in WIDTH.items()}


def _add_each(found: dict[int, list[int]], lines: Iterable[bytes], begins: int, mistakes: ListMistakes) -> None:
    """Adds the prefixes in lines of any form, of which the first has the number `begins`."""
    for number, line in enumerate(lines, start=begins):
        entry = line.partition(b"#")[0].partition(b";")[0].strip()
        if not entry:
            continue
        try:
            for version, first, length in _prefixes(entry.decode("utf-8", "replace")):
                found[version].append(first << _LENGTH_BITS | length)
        except Expected as error:
            mistakes.add(number, entry, Expected(error.expected, error.hint or _HINT))


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
