"""The inspection layer: packet bytes and time in, verdict out. Runs compiled where that was possible."""

from shutdownlab.inspection.compiled import search_path

__path__ = search_path()
