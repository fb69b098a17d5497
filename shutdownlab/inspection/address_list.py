"""Lists of addresses in files of their own, as block lists are: a prefix or an address a line; # and ; begin comments.

Also what other programs write: a range (`192.0.2.1-192.0.2.9`), and the lines of `ipset save` (`add NAME
192.0.2.0/24`). What is there twice, or lies within another prefix of the list, counts once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from shutdownlab.config.document import Expected, quoted
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.scalars import Address, IpPrefix, network, plain_ipv4

MAX_BYTES: Final = 64 << 20
MAX_PREFIXES: Final = 1_000_000
"""Somewhat more than all that BGP announces."""
_TOLD: Final = 20
_HINT: Final = "one prefix, address or range a line; # begins a comment"


def read_addresses(text: bytes, file: str) -> tuple[IpPrefix, ...]:
    """The prefixes that a list holds, each once and none within another, in the order of their addresses.

    Raises `BadInput` with the first mistakes, each with its line.
    """
    found: list[IpPrefix] = []
    problems: list[Problem] = []
    wrong = 0
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        entry = line.partition(b"#")[0].partition(b";")[0].strip()
        if not entry:
            continue
        try:
            found += _prefixes(entry.decode("utf-8", "replace"))
        except Expected as error:
            wrong += 1
            if wrong <= _TOLD:
                shown = quoted(entry.decode("utf-8", "replace"))
                problems.append(Problem(file, number, "", shown, error.expected, error.hint or _HINT))
    if wrong > _TOLD:
        problems.append(Problem(file, 0, "", f"{wrong - _TOLD:,} more such lines", "an address or a prefix a line"))
    elif not wrong and not found:
        problems.append(Problem(file, 0, "", "a list without an address", "an address or a prefix a line"))
    elif len(found) > MAX_PREFIXES:
        problems.append(Problem(file, 0, "", f"{len(found):,} prefixes", f"at most {MAX_PREFIXES:,}"))
    if problems:
        raise BadInput(problems)
    return tuple(without_covered(found))


def without_covered(prefixes: Iterable[IpPrefix]) -> Iterator[IpPrefix]:
    """The prefixes that no other one holds, by their addresses."""
    ordered = sorted(set(prefixes), key=_place)
    for _, family in groupby(ordered, key=lambda prefix: prefix.version):
        end = -1
        for prefix in family:
            first = int(prefix.network_address)
            if first > end:
                end = first + prefix.num_addresses - 1
                yield prefix


def _place(prefix: IpPrefix) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _prefixes(entry: str) -> Iterable[IpPrefix]:
    """One line's; raises `Expected`."""
    plain = plain_ipv4(entry)
    if plain is not None:
        return (plain,)
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
