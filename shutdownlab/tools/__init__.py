"""Circumvention tools, one module each: the server abroad and the client at the subscriber."""
