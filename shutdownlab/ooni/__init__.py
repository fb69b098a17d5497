"""Recomputes OONI's verdicts from a probe's raw observations: pure functions, and a reader for files of any size."""
