"""`shutdownlab explain`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import Choices, Settings, as_mapping, as_settings
from shutdownlab.cli.program import naming_options, say, user_errors


def explain(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO|RUN", help="A scenario, by name or path, or the directory of a run.")
    ],
    at: Annotated[str, typer.Option("--at", metavar="PHASE", help="The phase.")],
    vantage: Annotated[
        str,
        typer.Option(
            "--from", metavar="OPERATOR/REGION[/GROUP]", help="The subscriber; without a group, an ordinary one."
        ),
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="TARGET", help="A probe of the scenario, an app, a site or ADDRESS:PORT.")
    ],
    family: Annotated[
        str | None, typer.Option("--family", metavar="ipv4|ipv6", help="The address family.", show_default="its first")
    ] = None,
    choose: Choices = None,
    settings: Settings = None,
    form: Annotated[
        Literal["text", "json", "mermaid"],
        typer.Option("--format", metavar="text|json|mermaid", help="Output format."),
    ] = "text",
) -> None:
    """For example: shutdownlab explain kazakhstan-2022 --at blackout --from kcell/almaty --to telegram"""
    from shutdownlab.library import load
    from shutdownlab.verifier import explain as model
    from shutdownlab.verifier.explained import as_json, as_mermaid, explanation_lines

    with user_errors(), naming_options("at", "family", "choose", vantage="--from", target="--to", scenario="RUN"):
        given = as_settings(settings)
        explanation = model.explain(
            load(scenario, set=given) if given else scenario,
            at=at,
            vantage=vantage,
            target=target,
            family=family,
            choose=as_mapping(choose),
        )
    if form == "json":
        typer.echo(as_json(explanation))
    elif form == "mermaid":
        typer.echo(as_mermaid(explanation))
    else:
        for line in explanation_lines(explanation):
            say(line)
