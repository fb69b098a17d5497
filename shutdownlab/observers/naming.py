"""Names of observers' files. Pure."""

from __future__ import annotations

from datetime import datetime


def stamp(at: datetime) -> str:
    """Formats a phase's start for a file name, as route collectors do: `20220105.1030`."""
    return f"{at:%Y%m%d.%H%M}"
