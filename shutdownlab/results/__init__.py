"""What a run finds out: cells, results, measurements in OONI's format, and the run directory that holds them."""
