"""Makes text from elsewhere safe to print."""

from __future__ import annotations

from rich.markup import escape

from shutdownlab.config.wording import on_one_line


def literal(text: str) -> str:
    """Escapes text for rich: it stays on one line, without taking effect as markup or as terminal control codes."""
    return escape(on_one_line(text))
