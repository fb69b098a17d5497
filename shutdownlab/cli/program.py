"""The program's frame: its options, its exit codes, and the messages for what a user can cause.

The exit codes are in `EXIT_CODES`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from shutdownlab import __version__
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.reporting.help import PlainGroup
from shutdownlab.reporting.literal import literal

EXIT_BAD_INPUT, EXIT_MACHINE_CANNOT = 2, 3
EXIT_CODES = (
    "Exit codes: 0; 1 an expectation was not met; 2 bad input; 3 this machine lacks something, the run broke off, "
    "or something could not be measured; 70 a bug in shutdownlab; 74 the output could not be written; "
    "130 interrupted; 141 nobody read the output. `exec` and `attach` end with their command's."
)

app = typer.Typer(
    cls=PlainGroup,
    help="Emulates a country's Internet on this machine, in a sandbox of its own, and shuts it down the way real "
    "countries did.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can cause into a message and an exit code."""
    from shutdownlab.system.kernel import MachineCannot

    try:
        yield
    except BadInput as error:
        for line in error.lines():
            errors().print(line, markup=False)
        count = error.count
        errors().print(f"[red]{count:,} problem{'s' if count > 1 else ''}[/red]; nothing was run.")
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except MachineCannot as error:
        errors().print(f"[red]This machine cannot {literal(error.what)}:[/red] {literal(error.why)}")
        errors().print(f"    how to fix it: {literal(error.mend)}")
        errors().print("    `shutdownlab doctor` shows everything that is needed.")
        raise typer.Exit(EXIT_MACHINE_CANNOT) from None


def report_limit(limit: str) -> int:
    """Say that a limit of this process was reached; returns the exit code."""
    errors().print(f"[red]This machine cannot go on:[/red] {literal(limit)}", soft_wrap=True)
    errors().print("    how to fix it: raise that limit, or free what uses it up")
    return EXIT_MACHINE_CANNOT


def bad_option(option: str, found: str, expected: str, hint: str = "") -> NoReturn:
    raise BadInput([Problem(option, 0, "", found, expected, hint)])


@contextmanager
def writable(option: str, target: object, expected: str, hint: str = "") -> Iterator[None]:
    """What is written inside goes to `target`; where that cannot be done, say so."""
    try:
        yield
    except OSError as error:
        found = f"{target}, which cannot be written ({(error.strerror or str(error)).lower()})"
        bad_option(option, found, expected, hint)


@contextmanager
def naming_options(*parameters: str, **others: str) -> Iterator[None]:
    """Report a mistake in a parameter of `sl.run` (`real_time`) as one in the option of its name (`--real-time`).

    others: parameters whose option, or argument, is called otherwise (`vantage="--from"`).
    """
    names = {parameter: f"--{parameter.replace('_', '-')}" for parameter in parameters} | others
    try:
        yield
    except BadInput as error:
        raise BadInput(
            replace(problem, file=names.get(problem.file, problem.file)) for problem in error.problems
        ) from None


def _show_version(value: bool) -> None:
    if value:
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
            bad_option("the working directory", "one that has been removed", "one that is there", "cd to another")
