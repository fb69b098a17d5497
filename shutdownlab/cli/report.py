"""`shutdownlab report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shutdownlab.cli.program import bad_option, naming_options, user_errors
from shutdownlab.config.wording import quoted


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The directory of a run, finished or not.")],
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="With -o, a second run: the page shows it, with the differences from the first."
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Which report; packages add some (docs/extending.md).")
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            readable=False,
            metavar="FILE.html",
            help="Write the report as one HTML file.",
        ),
    ] = None,
) -> None:
    """For example: shutdownlab report runs/NAME-TIME -o report.html
    or, with what differs: shutdownlab report runs/OLD runs/NEW -o new.html
    """
    from shutdownlab.config.extensions import ExtensionError
    from shutdownlab.reporting.report import installed_reports
    from shutdownlab.results.run import Run

    with user_errors(), naming_options(out="-o", against="RUN"):
        if output is not None:
            from shutdownlab.reporting.page.report import report as page_of

            if kind != "table":
                bad_option(
                    "--as", f"{quoted(kind)} together with -o", "one of the two", "`-o` writes a page, `--as` prints"
                )
            if other is None:
                page_of(run, output)
                typer.echo(f"{output} is the report of {run}.")
            else:
                page_of(other, output, against=run)
                typer.echo(f"{output} is the report of {other}, with what differs from {run}.")
            return
        if other is not None:
            bad_option("RUN", "two runs without -o", "one run, or a file", "`shutdownlab diff` prints what differs")
        reports = installed_reports()
        if kind not in reports:
            expected, hint = reports.unknown(kind)
            bad_option("--as", f"unknown report {quoted(kind)}", expected, hint())
        try:
            chosen = reports[kind]()
        except ExtensionError as error:
            bad_option("--as", error.found, "a report that can be loaded", error.hint)
        chosen.write(Run.open(run), Console(highlight=False))
