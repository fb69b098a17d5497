"""Entering a network namespace: for good (`enter`), or for the length of a `with` block (`inside`).

A namespace is given by its path (a bind mount such as /run/netns/NAME), or as an open descriptor of it; None is the
one the caller is in. It is the calling thread that moves: its other threads stay where they are, and sockets belong for
ever to the namespace they were opened in. Functions raise OSError where the namespace is missing or not ours.
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
"""The calling thread's own."""


def enter(netns: NetworkNamespace) -> None:
    """Move the calling thread into `netns` for good."""
    if isinstance(netns, Path):
        with netns.open("rb") as opened:
            setns(opened.fileno(), CLONE_NEWNET)
    elif netns is not None:
        setns(netns, CLONE_NEWNET)


@contextmanager
def returning() -> Iterator[None]:
    """Whatever network namespace the thread enters or makes in the block, it is back in its own afterwards."""
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
    """Keep the calling thread in `netns` for the length of the block."""
    if netns is None:
        yield
        return
    with returning():
        enter(netns)
        yield
