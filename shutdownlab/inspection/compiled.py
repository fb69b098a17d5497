"""Where the compiled modules of a checkout are: in a package of the environment that bears the sources' fingerprint.

An edit gives the sources another fingerprint, under which nothing is compiled: so what is edited is what runs, until
`scripts/compile` builds again. Modules compiled beside their sources, as an installed wheel has them, would be
imported in place of an edited source: Python looks for them first, and build tools that keep an editable checkout
right (meson-python, scikit-build-core, maturin) each need an import hook for it. Here it takes a search path.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


def package(sources: Path = FOLDER) -> str:
    """The name of the package that what is compiled of these very sources is in."""
    found = hashlib.sha256()
    for source in sorted(sources.rglob("*.py")):
        found.update(str(source.relative_to(sources)).encode() + b"\0" + source.read_bytes())
    return f"shutdownlab_compiled_{found.hexdigest()[:16]}"


def search_path() -> list[str]:
    """The folders to import the modules of `shutdownlab.inspection` from."""
    spec = importlib.util.find_spec(package())
    return [*((spec and spec.submodule_search_locations) or ()), str(FOLDER)]
