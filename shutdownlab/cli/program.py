"""Shared by all commands: messages for errors that a user can cause, and exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import typer
from rich.console import Console

from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.wording import on_one_line
from shutdownlab.reporting.literal import literal

EXIT_BAD_INPUT, EXIT_MACHINE_CANNOT = 2, 3


def errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns errors that a user can cause into a message and an exit code."""
    from shutdownlab.system.kernel import MachineCannot

    try:
        yield
    except BadInput as error:
        for line in error.lines():
            errors().print(line, markup=False)
        count = error.count
        errors().print(f"[red]{count:,} problem{'s' if count > 1 else ''} found[/red]; the command stopped.")
        raise typer.Exit(EXIT_BAD_INPUT) from None
    except MachineCannot as error:
        errors().print(f"[red]This machine cannot {literal(error.what)}:[/red] {literal(error.why)}")
        errors().print(f"    how to fix it: {literal(error.mend)}")
        errors().print("    `shutdownlab doctor` shows everything that is needed.")
        raise typer.Exit(EXIT_MACHINE_CANNOT) from None


def report_limit(limit: str) -> int:
    """Prints that a limit of this process was reached; returns the exit code."""
    errors().print(f"[red]A limit of this machine was reached:[/red] {literal(limit)}", soft_wrap=True)
    errors().print("    how to fix it: raise that limit, or free what uses it up")
    return EXIT_MACHINE_CANNOT


def say(line: str) -> None:
    """Prints a line of the command's output, in which text from elsewhere gives the terminal no commands."""
    typer.echo(on_one_line(line))


def bad_option(option: str, found: str, expected: str, hint: str = "") -> NoReturn:
    raise BadInput([Problem(option, 0, "", found, expected, hint)])


@contextmanager
def writable(option: str, target: object, expected: str, hint: str = "") -> Iterator[None]:
    """Turns an `OSError` in the context into a message that `target` cannot be written."""
    try:
        yield
    except OSError as error:
        found = f"{target}, which cannot be written ({(error.strerror or str(error)).lower()})"
        bad_option(option, found, expected, hint)


@contextmanager
def naming_options(*parameters: str, **others: str) -> Iterator[None]:
    """Reports a bad value of a parameter of `sl.run` (`real_time`) as one of the option (`--real-time`).

    others: parameters whose option, or argument, has another name (`vantage="--from"`).
    """
    names = {parameter: f"--{parameter.replace('_', '-')}" for parameter in parameters} | others
    try:
        yield
    except BadInput as error:
        raise BadInput(
            replace(problem, file=names.get(problem.file, problem.file)) for problem in error.problems
        ) from None
