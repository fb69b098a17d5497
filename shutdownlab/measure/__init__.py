"""Measuring with all vantage points at once: agents, their supervisor, the schedule, and what is believed."""
