"""Output for people: tables, reports, drawings, progress, help."""
