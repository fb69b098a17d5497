"""`shutdownlab plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.program import naming_options, user_errors


def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run, finished or not.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", readable=False, metavar="FILE.pdf|svg|png", help="The file to write. PNG: 300 dpi."
        ),
    ],
    what: Annotated[
        Literal["reach", "map", "signals"],
        typer.Option("--what", metavar="reach|map|signals", help="Services over time; regions; what outsiders saw."),
    ] = "reach",
    at: Annotated[
        str | None, typer.Option("--at", metavar="PHASE", help="The phase of the map; left out: the worst one.")
    ] = None,
    width: Annotated[float, typer.Option("--width", metavar="MM", help="The figure's width.", show_default=True)] = 85,
) -> None:
    """For example: shutdownlab plot runs/NAME-TIME --what map -o map.pdf"""
    from shutdownlab.reporting.figure.plot import plot as plotted

    with user_errors(), naming_options("what", "at", "width", out="-o", run="RUN"):
        plotted(run, output, what=what, at=at, width=width)
    typer.echo(f"{output} shows the {what} of {run}.")
