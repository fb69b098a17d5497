"""`shutdownlab cost`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import Choices, as_mapping
from shutdownlab.cli.program import bad_option, naming_options, user_errors
from shutdownlab.config.wording import quoted


def cost(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO|RUN", help="A scenario, by name or path, or the directory of a run.")
    ],
    choose: Choices = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=NUMBER", help="gdp, internet_share or users, instead of the file's; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of what is drawn at random.")] = 1,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", metavar="table|json", help="What is printed.")
    ] = "table",
) -> None:
    """Work out what a shutdown cost: by three methods, each from what to what, beside what others found.

    For example: shutdownlab cost kazakhstan-2022
    """
    from shutdownlab.library import load
    from shutdownlab.reporting import costs
    from shutdownlab.results.run import Run

    with user_errors(), naming_options("choose", scenario="SCENARIO", values="--set"):
        given = _numbers(values or [])
        found = costs.cost(scenario, choose=as_mapping(choose), seed=seed, values=given)
        if form == "json":
            typer.echo(costs.as_json(found))
            return
        source = Run.open(scenario).manifest["source"] if _is_run(scenario) else scenario
        topology = load(source).topology
        operators = {name: operator.title for name, operator in topology.operators.items()}
        regions = {name: region.title for name, region in topology.regions.items()}
        for line in costs.lines_of(found, operators, regions):
            typer.echo(line)


def _is_run(scenario: str) -> bool:
    from pathlib import Path

    return (Path(scenario) / "manifest.json").is_file()


def _numbers(values: list[str]) -> dict[str, float]:
    found = {}
    for text in values:
        key, _, number = text.partition("=")
        try:
            found[key] = float(number)
        except ValueError:
            bad_option("--set", quoted(text), "KEY=NUMBER, such as gdp=197.1")
    return found
