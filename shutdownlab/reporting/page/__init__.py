"""The report of a run as a page: one HTML file that needs nothing else."""
