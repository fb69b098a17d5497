"""Protocol recognisers, one protocol a module; `shutdownlab.inspection.recognition` is the way in."""
