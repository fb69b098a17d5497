"""`shutdownlab cost`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import Choices, as_mapping, as_settings
from shutdownlab.cli.program import bad_option, naming_options, say, user_errors
from shutdownlab.config.document import did_you_mean
from shutdownlab.config.wording import quoted


def cost(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO|RUN", help="A scenario, by name or path, or the directory of a run.")
    ],
    choose: Choices = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set gdp, internet_share or users, or a value in the scenario; repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed for everything random.")] = 1,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", metavar="table|json", help="Output format.")
    ] = "table",
) -> None:
    """For example: shutdownlab cost kazakhstan-2022"""
    from shutdownlab.library import load
    from shutdownlab.reporting import costs
    from shutdownlab.results.run import Run

    with user_errors(), naming_options("choose", scenario="SCENARIO", values="--set"):
        numbers, settings = _sorted(values or [], costs.PARAMETERS)
        if settings and _is_run(scenario):
            bad_option(
                "--set",
                f"{quoted(settings[0])} for a run",
                "gdp, internet_share or users: a run has its scenario already",
            )
        priced = load(scenario, set=as_settings(settings)) if settings else scenario
        found = costs.cost(priced, choose=as_mapping(choose), seed=seed, values=numbers)
        if form == "json":
            typer.echo(costs.as_json(found))
            return
        source = Run.open(scenario).manifest["source"] if _is_run(scenario) else scenario
        topology = load(source).topology
        operators = {name: operator.title for name, operator in topology.operators.items()}
        regions = {name: region.title for name, region in topology.regions.items()}
        for line in costs.lines_of(found, operators, regions):
            say(line)


def _is_run(scenario: str) -> bool:
    from pathlib import Path

    return (Path(scenario) / "manifest.json").is_file()


def _sorted(values: list[str], parameters: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Separates `--set` values into those of the economy and those of the scenario."""
    from shutdownlab.model.scenario import Scenario
    from shutdownlab.reporting.costs import UNITS

    numbers, settings = dict[str, float](), list[str]()
    for text in values:
        key, _, number = text.partition("=")
        nested = key.removeprefix("cost.") in parameters and not number.lstrip().startswith("{")
        if key not in parameters and not nested and not did_you_mean(key, parameters):
            if key not in Scenario.model_fields and key.isidentifier():
                expected = f"one of {', '.join(parameters)}, or a value in the scenario, by its path"
                bad_option(
                    "--set", f"unknown key {quoted(key)}", expected, "such as timeline.blackout.at=2022-01-05T13:00Z"
                )
            settings.append(text)
            continue
        try:
            numbers[key] = float(number)
        except ValueError:
            unit = f" ({UNITS[key]})" if key in UNITS else ""
            bad_option("--set", quoted(text), f"KEY=NUMBER{unit}, such as gdp=197.1 or internet_share=0.05")
    return numbers, settings
