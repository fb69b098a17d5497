"""Figures for papers: draws a run at the width of a column, as PDF, SVG or PNG."""
