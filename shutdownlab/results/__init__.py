"""The output of a run: cells, results, measurements in OONI's format, and the run directory that holds them."""
