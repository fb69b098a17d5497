"""Waiting for any number of file descriptors with poll(2), as select(2) accepts none above 1,023."""

from __future__ import annotations

import select
from collections.abc import Iterable
from typing import Protocol, TypeAlias


class HasFileno(Protocol):
    def fileno(self) -> int: ...


Descriptor: TypeAlias = int | HasFileno


def wait(
    reading: Iterable[Descriptor] = (), writing: Iterable[Descriptor] = (), seconds: float | None = None
) -> frozenset[int]:
    """Waits until a descriptor is readable or writable or has hung up; returns the numbers of all that are.

    seconds: timeout, to the millisecond (None: for ever; negative counts as 0), after which the set is empty.
    """
    to_read, to_write = (frozenset(map(_number, descriptors)) for descriptors in (reading, writing))
    if not hasattr(select, "poll"):  # under Ryu: eventlet removes poll and replaces select by its own
        return frozenset().union(*select.select(to_read, to_write, (), seconds))
    poller = select.poll()
    for number in to_read | to_write:
        poller.register(number, select.POLLIN * (number in to_read) | select.POLLOUT * (number in to_write))
    return frozenset(number for number, _ in poller.poll(None if seconds is None else max(0.0, seconds) * 1000))


def _number(descriptor: Descriptor) -> int:
    return descriptor if isinstance(descriptor, int) else descriptor.fileno()
