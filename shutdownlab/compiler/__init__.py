"""Compiles the policies in force into rules for every switch, border router, resolver and DPI box. Pure."""
