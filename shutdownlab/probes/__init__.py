"""What a subscriber measures: one module per protocol, each step recorded in OONI's way."""
