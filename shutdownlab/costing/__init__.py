"""Estimates the cost of a shutdown from which subscribers lost which services, and for how long. Pure."""
