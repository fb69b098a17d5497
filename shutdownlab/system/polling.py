"""Waiting for descriptors, any number of them and of any value: select(2) takes none from 1,024 on, poll(2) all."""

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
    """Wait until one of them can be read, or written, or is at its end; the numbers of all that are.

    seconds: at most so long, to a millisecond (None: for ever; less than 0 counts as 0); then the set is empty.
    """
    to_read, to_write = (frozenset(map(_number, descriptors)) for descriptors in (reading, writing))
    if not hasattr(select, "poll"):  # under Ryu: eventlet has taken it away, and made select one of its own
        return frozenset().union(*select.select(to_read, to_write, (), seconds))
    poller = select.poll()
    for number in to_read | to_write:
        poller.register(number, select.POLLIN * (number in to_read) | select.POLLOUT * (number in to_write))
    return frozenset(number for number, _ in poller.poll(None if seconds is None else max(0.0, seconds) * 1000))


def _number(descriptor: Descriptor) -> int:
    return descriptor if isinstance(descriptor, int) else descriptor.fileno()
