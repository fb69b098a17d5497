"""`shutdownlab export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.program import naming_options, user_errors


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run, finished or not.")],
    to: Annotated[
        Literal["parquet", "csv", "duckdb", "ooni", "mrt"],
        typer.Option("--to", metavar="parquet|csv|duckdb|ooni|mrt", help="Output format."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", readable=False, metavar="OUT", help="A new folder, or for duckdb and ooni a new file."
        ),
    ] = None,
) -> None:
    """For example: shutdownlab export runs/NAME-TIME --to duckdb -o run.duckdb"""
    from shutdownlab.reporting.export.exporting import export as exported

    with user_errors(), naming_options("to", out="-o", run="RUN"):
        written = exported(run, to, output)
    typer.echo(f"{written} is {run} as {to}.")
