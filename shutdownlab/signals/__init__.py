"""Analyses signals observed from outside the country: time series, alerts, and comparison with published data. Pure."""
