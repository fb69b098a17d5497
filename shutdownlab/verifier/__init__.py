"""Predicts a run's results without a run: follows probes' packets through routes, rules, DPI boxes and servers."""
