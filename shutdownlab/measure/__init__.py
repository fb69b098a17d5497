"""Measures from all vantage points at once: agents, their supervisor, the scheduler, and what is believed."""
