"""The actions of a DPI box, one a module; `registry` lists the installed ones."""

from shutdownlab import inspection

__path__ = [f"{folder}/actions" for folder in inspection.__path__]
