"""What a DPI box does to a connection, one action a module; `registry` has those that are installed."""

from shutdownlab import inspection

__path__ = [f"{folder}/actions" for folder in inspection.__path__]
