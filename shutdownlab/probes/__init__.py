"""What a subscriber measures: one module a protocol, each step recorded the way OONI records it."""
