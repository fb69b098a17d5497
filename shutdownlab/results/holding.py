"""A lock on a run directory, held by the process that writes it for as long as it runs."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not a Unix: directories are read there, and no run is under way
    fcntl = None  # type: ignore[assignment]


def hold(path: Path) -> BinaryIO:
    """Returns a file whose shared lock marks the run in this directory as running while it is open."""
    file = (path / "events.jsonl").open("ab")
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_held(path: Path) -> bool:
    """Returns whether a process holds the run in this directory."""
    if fcntl is None:
        return False
    try:
        with (path / "events.jsonl").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def claim(path: Path) -> BinaryIO:
    """Returns a file whose exclusive lock, while it is open, keeps other processes from using the run.

    Raises BlockingIOError if another process holds it.
    """
    file = (path / "events.jsonl").open("ab")
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file
