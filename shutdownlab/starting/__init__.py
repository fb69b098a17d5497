"""Generates files for users to start their own from: `shutdownlab new`."""
