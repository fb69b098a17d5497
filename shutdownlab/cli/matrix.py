"""`shutdownlab matrix`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console

from shutdownlab.cli.options import (
    Choices,
    DatapathWish,
    NewRun,
    ScenarioName,
    Settings,
    Trust,
    as_mapping,
    as_settings,
)
from shutdownlab.cli.program import errors, naming_options, user_errors
from shutdownlab.cli.run import one_run


def matrix(
    scenario: ScenarioName,
    tools: Annotated[
        list[str] | None,
        typer.Option("--tools", metavar="A,B", help="Only these tools; repeatable.", show_default="all"),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="PHASE", help="Only this phase; repeatable.", show_default="all"),
    ] = None,
    out: NewRun = None,
    choose: Choices = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed for everything random.")] = 0,
    datapath: DatapathWish = "auto",
    form: Annotated[
        Literal["table", "json", "markdown"],
        typer.Option("--format", metavar="table|json|markdown", help="Output format."),
    ] = "table",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what was measured, cell by cell, with what `verify --tools` says.")
    ] = False,
    trust: Trust = False,
) -> None:
    from shutdownlab.library import load
    from shutdownlab.reporting import matrix as shown
    from shutdownlab.reporting.progress import Progress
    from shutdownlab.runner import matrix as tool_matrix

    with user_errors(), naming_options("out", "choose", "tools", "at"):
        shutdown = load(scenario, set=as_settings(settings))
        chosen = [name for given in tools or () for name in given.split(",") if name]
        progress = Progress(out, errors(), story=False)
        with one_run(progress):
            found = tool_matrix.matrix(
                shutdown, out, tools=chosen, at=at or (), choose=as_mapping(choose), seed=seed, datapath=datapath,
                trust=trust, on_event=progress,
            )  # fmt: skip
    if form == "table":
        shown.print_matrix(found, Console(highlight=False))
    else:
        typer.echo(shown.as_json(found) if form == "json" else shown.as_markdown(found))
    if verify:
        for result, model in found.differing:
            notice = (
                f"{result.phase} {result.vantage} {result.target}: measured {result.outcome}, verified {model.outcome}"
            )
            typer.echo(notice, err=True)
        count = len(found.differing)
        typer.echo(f"Of {len(found.results):,} uses, {count or 'none'} differed from what was verified.", err=True)
    raise typer.Exit(found.exit_code or (1 if verify and found.differing else 0))
