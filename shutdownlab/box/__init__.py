"""The DPI box: its loop between two ports, with the inspection engine, and TLS interception."""
