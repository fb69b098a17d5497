"""`shutdownlab schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from shutdownlab.cli.options import known
from shutdownlab.cli.program import user_errors


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="event, result, measurement or manifest.")],
) -> None:
    """Print the JSON Schema of what a run writes."""
    from shutdownlab.results.schema import NAMES, shipped

    with user_errors():
        known("schema", "schema", name, NAMES)
        typer.echo(shipped(name), nl=False)
