"""Exports a run as data for other tools: typed tables with documented columns, OONI measurements and MRT files."""
