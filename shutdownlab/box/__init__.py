"""The DPI box: its loop between two ports, the inspection engine inside, TLS interception."""
