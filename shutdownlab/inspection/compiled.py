"""Finds a checkout's compiled modules: they are in a package of the environment named after the sources' fingerprint.

An edit changes the fingerprint, for which no compiled package exists, so the edited sources run until
`scripts/compile` builds again. Modules compiled next to their sources, as in an installed wheel, would be imported
instead of an edited source, because Python prefers extension modules. Build tools that handle editable checkouts
(meson-python, scikit-build-core, maturin) each need an import hook for this; here a search path is enough.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


def package(sources: Path = FOLDER) -> str:
    """Returns the name of the package that holds the modules compiled from exactly these sources."""
    found = hashlib.sha256()
    for source in sorted(sources.rglob("*.py")):
        found.update(str(source.relative_to(sources)).encode() + b"\0" + source.read_bytes())
    return f"shutdownlab_compiled_{found.hexdigest()[:16]}"


def search_path() -> list[str]:
    """Returns the folders to import the modules of `shutdownlab.inspection` from, compiled ones first."""
    spec = importlib.util.find_spec(package())
    return [*((spec and spec.submodule_search_locations) or ()), str(FOLDER)]
