"""A running country, put together from all that it consists of; and what this machine lacks for it."""
