"""Emulates a country's Internet on one machine and shuts it down the way real countries did.

import shutdownlab as sl

scenario = sl.load("kazakhstan-2022")        # a name, a path, or a mapping; raises sl.BadInput with .problems
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from shutdownlab.config.document import BadInput, Problem
    from shutdownlab.library import Shutdown, load
    from shutdownlab.system.kernel import MachineCannot

    __version__: str

__all__ = ["BadInput", "MachineCannot", "Problem", "Shutdown", "load"]

_WHERE: Final = {
    "BadInput": "config.document",
    "MachineCannot": "system.kernel",
    "Problem": "config.document",
    "Shutdown": "library",
    "load": "library",
}
"""Where each public name lives. They are imported when first used: a program pays only for what it asks for."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("shutdownlab")
    if name in _WHERE:
        return getattr(import_module(f"shutdownlab.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'shutdownlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
