"""A run as data for other tools: typed tables with documented columns, and the formats of the field."""
