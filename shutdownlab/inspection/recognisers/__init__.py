"""Protocol recognisers, one protocol a module; `shutdownlab.inspection.recognition` is the way in."""

from shutdownlab import inspection

__path__ = [f"{folder}/recognisers" for folder in inspection.__path__]
