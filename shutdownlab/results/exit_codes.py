"""What a command ends with that measures or verifies, apart from what does so: who starts a run needs nothing of it."""

EXIT_OK, EXIT_UNMET = 0, 1
"""All came out as expected; or something did not."""
EXIT_BROKEN = 3
"""The country did not come up, something of it broke, or something has no verdict."""
