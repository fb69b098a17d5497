"""What the files of observers are called. Pure."""

from __future__ import annotations

from datetime import datetime


def stamp(at: datetime) -> str:
    """A phase's beginning in the name of a file, as route collectors have it: `20220105.1030`."""
    return f"{at:%Y%m%d.%H%M}"
