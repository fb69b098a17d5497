"""Python's search for garbage in reference cycles, put off while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """For what makes millions of objects that live on and no reference cycles, of which each search would look at all.

    A collection that is due afterwards does not look at them either: they count as old.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if gc.get_freeze_count() == 0:  # all to the oldest generation, unseen; else the next collection sees it
                gc.freeze()
                gc.unfreeze()
            gc.enable()
