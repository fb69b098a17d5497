"""The schemas' files, `NAME.schema.json` in this folder; `make schemas` writes them anew from the models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_ENDING: Final = ".schema.json"


def names() -> tuple[str, ...]:
    """The kinds of files that have one, sorted."""
    return tuple(sorted(path.name.removesuffix(_ENDING) for path in FOLDER.glob(f"*{_ENDING}")))


def path_of(name: str) -> Path:
    """Where the schema of a kind of file is, or will be."""
    return FOLDER / f"{name}{_ENDING}"


def shipped(name: str) -> str:
    """A schema as text; KeyError for a name that is none of `names()`."""
    if name not in names():
        raise KeyError(name)
    return path_of(name).read_text()


def pointing_here(text: bytes) -> bytes:
    """A shipped file whose first line, for editors, names its schema by where that is on this machine."""
    there = b"# yaml-language-server: $schema=" + FOLDER.as_uri().encode() + b"/"
    return re.sub(rb"\A# yaml-language-server: \$schema=\S*/", lambda _: there, text)
