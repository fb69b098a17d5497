"""`shutdownlab detect`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from rich.console import Console

from shutdownlab.cli.options import Choices, as_mapping
from shutdownlab.cli.program import bad_option, naming_options, user_errors


def detect(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO…", help="Shipped scenarios (see `list`), or paths of YAML files."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All scenarios that ship.")] = False,
    choose: Choices = None,
    noise: Annotated[
        str | None,
        typer.Option(
            "--noise",
            metavar="PERCENT",
            help="Noise of each value, in quiet weeks too.",
            show_default="the scenario's",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed for the noise.")] = 0,
    form: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--format", metavar="table|json|csv", help="Output format."),
    ] = "table",
) -> None:
    from shutdownlab.library import shipped
    from shutdownlab.reporting import detected
    from shutdownlab.verifier import detect as model

    with user_errors(), naming_options("choose"):
        names = list(scenarios or ())
        if everything and names:
            bad_option("--all", f"{names[0]} as well", "scenarios or --all, not both")
        if everything:
            names = [name for name, _ in shipped("scenarios")]
        if not names:
            bad_option("SCENARIO", "none", "scenarios, or --all", "`shutdownlab list` lists the scenarios")
        found = model.detect(
            *names, choose=as_mapping(choose), noise=None if noise is None else _share(noise), seed=seed
        )
    if form == "table":
        detected.print_detected(found, Console(highlight=False))
    else:
        typer.echo(detected.as_json(found) if form == "json" else detected.as_csv(found), nl=form == "json")


def _share(text: str) -> float:
    number = text.removesuffix("%").strip()
    try:
        share = float(number) / 100
    except ValueError:
        share = -1.0
    if not text.endswith("%") or not 0 <= share <= 1:
        bad_option("--noise", text, "a percentage from 0% to 100%", "such as --noise 2%")
    return share
