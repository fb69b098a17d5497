"""Suspends Python's cyclic garbage collection while many long-lived objects are created."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Disables garbage collection in the context, for code that creates millions of long-lived objects and no cycles:
    every collection would traverse them all.

    The next young collection does not traverse them either: they are moved to the oldest generation.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if gc.get_freeze_count() == 0:  # moves all to the oldest generation, unless something else is frozen
                gc.freeze()
                gc.unfreeze()
            gc.enable()
