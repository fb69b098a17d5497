"""`shutdownlab verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from shutdownlab.cli.every import one_or_all, verify_all
from shutdownlab.cli.options import Choices, Everything, OneScenario, Sample, Settings, as_mapping, as_settings
from shutdownlab.cli.program import bad_option, naming_options, user_errors


def verify(
    scenario: OneScenario = None,
    everything: Everything = False,
    choose: Choices = None,
    settings: Settings = None,
    at: Annotated[str | None, typer.Option("--at", metavar="PHASE", help="Only this phase.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", readable=False, metavar="DIR", help="Write the results to this new directory, as a run does."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that DIR holds.")] = False,
    form: Annotated[
        Literal["table", "json", "junit", "sarif"],
        typer.Option("--format", metavar="table|json|junit|sarif", help="Output format."),
    ] = "table",
    sample: Sample = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count cells that cannot be decided as unmet expectations.")
    ] = False,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            "--tools",
            metavar="A,B|all",
            help="Also work out what `matrix` would find for these circumvention tools; repeatable.",
        ),
    ] = None,
    warn: Annotated[
        bool, typer.Option("--warn", help="Warn of policies that change nothing, or more than they name; takes longer.")
    ] = False,
) -> None:
    from shutdownlab.library import load
    from shutdownlab.reporting.verified import as_json, print_verified
    from shutdownlab.verifier import verify as model

    with user_errors(), naming_options("choose", "at", "sample", "out", "tools"):
        one_or_all(
            scenario, everything=everything, choose=choose, at=at, out=out, force=force, warn=warn,
            format=form != "table", set=settings,
        )  # fmt: skip
        if scenario is None:
            raise typer.Exit(verify_all(strict=strict, sample=sample))
        if force and out is None:
            bad_option("--force", "no --out", "--out DIR as well, the directory to replace")
        shutdown = load(scenario, set=as_settings(settings))
        if tools is not None:
            from shutdownlab.runner.matrix import with_tools

            shutdown = with_tools(shutdown, tools, [at] if at else [])
        verified = model.verify(shutdown, choose=as_mapping(choose), at=at, strict=strict, sample=sample)
        if out is not None:
            verified.write(out, force=force)
        if form == "table":
            print_verified(verified, Console(highlight=False), warn=warn)
        elif form == "json":
            typer.echo(as_json(verified, warn=warn))
        elif form == "junit":
            from shutdownlab.reporting import junit

            typer.echo(junit.of_verified(verified))
        else:
            from shutdownlab.reporting import sarif

            typer.echo(sarif.of_verified(verified, warn=warn))
    raise typer.Exit(verified.exit_code)
