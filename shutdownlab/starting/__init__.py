"""Files to start one's own from: `shutdownlab new`."""
