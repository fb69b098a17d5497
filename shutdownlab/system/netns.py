"""Entering a network namespace, permanently (`enter`) or for a `with` block (`inside`).

A namespace is given by its path (a bind mount such as /run/netns/NAME) or by an open descriptor; None is the caller's
own. Only the calling thread moves, and a socket stays in the namespace in which it was opened. Functions raise OSError
if the namespace doesn't exist or may not be entered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from shutdownlab.system.syscalls import CLONE_NEWNET, setns

NetworkNamespace: TypeAlias = Path | int | None

OWN: Final = Path("/proc/thread-self/ns/net")
"""The calling thread's own network namespace."""


def enter(netns: NetworkNamespace) -> None:
    """Moves the calling thread into `netns` permanently."""
    if isinstance(netns, Path):
        with netns.open("rb") as opened:
            setns(opened.fileno(), CLONE_NEWNET)
    elif netns is not None:
        setns(netns, CLONE_NEWNET)


@contextmanager
def returning() -> Iterator[None]:
    """Returns the thread to its present network namespace after the block, whichever it enters or creates inside it."""
    home = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            setns(home, CLONE_NEWNET)
        finally:
            os.close(home)


@contextmanager
def inside(netns: NetworkNamespace) -> Iterator[None]:
    """Keeps the calling thread in `netns` for the duration of the block."""
    if netns is None:
        yield
        return
    with returning():
        enter(netns)
        yield
