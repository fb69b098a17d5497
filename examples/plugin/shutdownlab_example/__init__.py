"""Parts of a user's own for shutdownlab."""
