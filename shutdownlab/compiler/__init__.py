"""Policies in force, compiled into the rules of every switch and DPI box. Pure."""
