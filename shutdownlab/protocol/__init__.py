"""The messages between processes: orders, acknowledgements, decisions of DPI boxes, requests to probes. Pure."""
