"""`shutdownlab diff`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import Choices, as_mapping, as_settings
from shutdownlab.cli.program import naming_options, say, user_errors, writable

_SIDE = "A scenario by name, path or REVISION:PATH of git, or the directory of a run or of `verify --out`."


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=f"{_SIDE} Only a REVISION: NEW as it was then.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="As OLD.")],
    choose: Choices = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set another value in NEW, a scenario; repeatable."),
    ] = None,
    form: Annotated[
        Literal["table", "json", "junit", "markdown", "github", "sarif"],
        typer.Option("--format", metavar="table|json|junit|markdown|github|sarif", help="Output format."),
    ] = "table",
    allow: Annotated[bool, typer.Option("--allow", help="Exit with 0 even if something changed.")] = False,
) -> None:
    """For example: shutdownlab diff HEAD~1:scenarios/mine.yaml scenarios/mine.yaml"""
    from shutdownlab import comparison
    from shutdownlab.reporting import compared, junit, sarif

    with user_errors(), naming_options("choose"):
        found = comparison.diff(old, new, choose=as_mapping(choose), set=as_settings(settings))
    if form == "json":
        typer.echo(compared.as_json(found))
    elif form == "junit":
        typer.echo(junit.of_comparison(found))
    elif form == "sarif":
        typer.echo(sarif.of_comparison(found))
    elif form == "markdown":
        typer.echo(compared.as_markdown(found))
    elif form == "github":
        for line in compared.as_github(found, allow=allow):
            typer.echo(line)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            hint = "unset it, or choose another --format"
            with (
                user_errors(),
                writable("GITHUB_STEP_SUMMARY", summary, "a file that can be written", hint),
                Path(summary).open("a") as file,
            ):
                file.write(compared.as_markdown(found) + "\n")
    else:
        for line in compared.lines_of(found):
            say(line)
    raise typer.Exit(1 if found.changed and not allow else 0)
