"""Figures for a paper: a run drawn at the width of a column, as PDF, SVG or PNG."""
