"""Observers of the country from outside."""
