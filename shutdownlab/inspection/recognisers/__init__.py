"""Protocol recognisers, one protocol per module; use them through `shutdownlab.inspection.recognition`."""

from shutdownlab import inspection

__path__ = [f"{folder}/recognisers" for folder in inspection.__path__]
