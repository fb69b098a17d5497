"""The base of the controllers: OpenFlow, orders, and their processes."""
