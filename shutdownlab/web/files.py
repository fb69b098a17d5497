"""The static files that the page may load; they are read once, and no others are served."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_KINDS: Final = {".js": "text/javascript", ".css": "text/css"}
_REPORT: Final = ("page.css", "page.js")
_OWN: Final = ("live.css", "live.js", "somebody.js", "xterm/xterm.js", "xterm/xterm.css", "xterm/addon-fit.js")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file, and its media type."""

    content: bytes
    kind: str


def static_files() -> dict[str, StaticFile]:
    """Returns the files by the names under which the page requests them."""
    places = {name: files("shutdownlab.reporting.page") / name for name in _REPORT}
    places |= {name: files("shutdownlab.web") / "static" / name for name in _OWN}
    return {name: StaticFile(place.read_bytes(), _KINDS[name[name.rindex(".") :]]) for name, place in places.items()}
