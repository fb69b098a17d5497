"""Circumvention tools, a module each: how a scenario names one, its server abroad, its client at the subscriber."""
