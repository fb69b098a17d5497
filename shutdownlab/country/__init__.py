"""A running country, assembled from all its parts, and what this machine lacks to run one."""
