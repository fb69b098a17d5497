"""`shutdownlab schema`."""

from __future__ import annotations

from typing import Annotated

import typer

from shutdownlab.cli.options import known
from shutdownlab.cli.program import user_errors
from shutdownlab.schemas.shipped import names, shipped


def schema(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Of what you write: scenario, topology, policy, profile, apps. "
            "Of what a run writes: results, measurement, event, manifest.",
        ),
    ],
) -> None:
    with user_errors():
        known("schema", "schema", name, names())
        typer.echo(shipped(name), nl=False)
