"""What a DPI box does to a connection, one action a module; `registry` has those that are installed."""
