"""Emulates a country's Internet on one machine and shuts it down the way real countries did."""

from importlib.metadata import version

__version__ = version("shutdownlab")
