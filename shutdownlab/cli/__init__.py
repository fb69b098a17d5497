"""The command line: one module per command."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from shutdownlab.cli.commands import Commands
from shutdownlab.cli.program import bad_option, report_limit, user_errors
from shutdownlab.system.limits import limit_reached
from shutdownlab.system.signals import reset_dispositions
from shutdownlab.system.streams import OutputLost, finish_output, guard_standard_streams

EXIT_CODES = (
    "Exit codes: 0; 1 an expectation was not met; 2 bad input; 3 this machine lacks something, the run broke off, "
    "or something could not be measured; 70 a bug in shutdownlab or in a package that extends it; 74 the output could "
    "not be written; 130 interrupted; 141 the output was closed. `exec` and `attach` return the exit code of their "
    "command."
)

app = typer.Typer(
    cls=Commands,
    help="Emulates a country's Internet on this machine, in a sandbox of its own, and shuts it down the way real "
    "countries did.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(value: bool) -> None:
    if value:
        from shutdownlab import __version__

        typer.echo(f"shutdownlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    try:
        os.getcwd()  # noqa: PTH109 - names the mistake
    except FileNotFoundError:
        with user_errors():
            bad_option(
                "the working directory",
                "a directory that was removed",
                "one that exists",
                "use cd to change to another",
            )


def main() -> None:
    """Entry point of the `shutdownlab` command."""
    # Nearly all objects, from modules to the cells of a country (220,000 for the flagship), live until the command
    # ends: scanning them for garbage every 700 allocations, as Python does, takes a tenth of the time of `verify`.
    gc.set_threshold(250_000)
    reset_dispositions()
    guard_standard_streams()
    try:
        try:
            app()
        finally:
            finish_output()
            gc.freeze()  # the scan when Python ends would take a quarter of the time of a short command
    except OutputLost as lost:
        sys.exit(lost.report())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if limit := limit_reached(error):
            sys.exit(report_limit(limit))
        from shutdownlab.cli.crash import report_crash

        sys.exit(report_crash(error))
