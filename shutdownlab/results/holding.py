"""Whether the process that writes a run directory still lives: it holds a lock as long as it does."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not a Unix: directories are read there, and no run is under way
    fcntl = None  # type: ignore[assignment]


def hold(path: Path) -> BinaryIO:
    """A file that says, as long as it is open, that the run in this directory still goes on."""
    file = (path / "events.jsonl").open("ab")
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_held(path: Path) -> bool:
    """Whether somebody holds the run in this directory."""
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
    """A file that keeps others from going on with the run in this directory as long as it is open.

    Raises BlockingIOError where somebody holds it.
    """
    file = (path / "events.jsonl").open("ab")
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file
