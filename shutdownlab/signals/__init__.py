"""What outsiders make of what they see: series over time, alerts, and what of it was documented. Pure."""
