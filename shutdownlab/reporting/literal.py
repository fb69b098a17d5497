"""Text that is not ours, made fit to be printed."""

from __future__ import annotations

from rich.markup import escape

from shutdownlab.config.wording import on_one_line


def literal(text: str) -> str:
    """Text that rich prints as it is: on one line, nothing of it taken for markup or for orders to the terminal."""
    return escape(on_one_line(text))
