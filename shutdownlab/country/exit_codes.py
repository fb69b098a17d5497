"""What a command ends with whose country broke. Apart from what can break: who starts a country needs nothing of it."""

EXIT_BROKEN = 3
"""The country did not come up, or something of it broke."""
