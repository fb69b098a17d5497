"""The schema files, `NAME.schema.json` in this folder; `make schemas` generates them from the models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_ENDING: Final = ".schema.json"


def names() -> tuple[str, ...]:
    """Returns the kinds of files that have a schema, sorted."""
    return tuple(sorted(path.name.removesuffix(_ENDING) for path in FOLDER.glob(f"*{_ENDING}")))


def path_of(name: str) -> Path:
    """Returns the path of the schema of a kind of file, whether or not it exists."""
    return FOLDER / f"{name}{_ENDING}"


def shipped(name: str) -> str:
    """Returns a schema as text; raises KeyError for a name that is not in `names()`."""
    if name not in names():
        raise KeyError(name)
    return path_of(name).read_text()


def pointing_here(text: bytes) -> bytes:
    """Returns a shipped file's text, with the schema in its first line (for editors) by its URI on this machine."""
    there = b"# yaml-language-server: $schema=" + FOLDER.as_uri().encode() + b"/"
    return re.sub(rb"\A# yaml-language-server: \$schema=\S*/", lambda _: there, text)
