"""Exit codes of commands that measure or verify, in a module that the start of a run can import cheaply."""

EXIT_OK, EXIT_UNMET = 0, 1
"""Everything as expected; an expectation not met."""
EXIT_BROKEN = 3
"""The country could not be started, the run broke off, or a cell has no verdict."""
