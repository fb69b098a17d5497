"""OONI's verdicts, worked out anew from what a probe saw: pure functions, and a reader of files of any size."""
