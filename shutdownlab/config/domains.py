"""Domain names and what is above them."""

from __future__ import annotations

from collections.abc import Container, Iterator


def with_all_above(name: str) -> Iterator[str]:
    """A domain name, and those that it is below, the longest first: `www.kaspi.kz`, `kaspi.kz`, `kz`."""
    while name:
        yield name
        name = name.partition(".")[2]


def is_within(name: str, domains: Container[str]) -> bool:
    """Whether a name is one of the domains or below one: as quickly of a million in a set as of one."""
    return any(domain in domains for domain in with_all_above(name))
