"""Whether the compiled modules of a checkout are those of its sources. An installed wheel's always are."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGE: Final = "shutdownlab.inspection"
FOLDER: Final = Path(__file__).parent


def stamp() -> Path:
    """The file that says what a checkout's compiled modules for this Python were made of, and their shared library."""
    return FOLDER / f".compiled{EXTENSION_SUFFIXES[0]}"


def fingerprint() -> str:
    """Of all sources of the package."""
    found = hashlib.sha256()
    for source in sorted(FOLDER.rglob("*.py")):
        found.update(str(source.relative_to(FOLDER)).encode() + b"\0" + source.read_bytes())
    return found.hexdigest()


def is_fresh() -> bool:
    """Whether compiled modules are there, for this Python and environment, and of these very sources."""
    try:
        made_of, library = stamp().read_text().split()
    except (OSError, ValueError):
        return False
    return made_of == fingerprint() and importlib.util.find_spec(library) is not None


class _Sources:
    """Finds the package's modules in their sources alone."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(f"{PACKAGE}."):
            return None
        finders = (FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)) for folder in path or ())
        return next((found for finder in finders if (found := finder.find_spec(name))), None)


def prefer_sources_where_edited() -> None:
    """To be called before any other module of the package is imported."""
    if stamp().exists() and not is_fresh():
        sys.meta_path.insert(0, _Sources)
