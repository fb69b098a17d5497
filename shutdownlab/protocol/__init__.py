"""The messages between processes: orders, acknowledgements, DPI boxes' decisions, requests to probe agents. Pure."""
