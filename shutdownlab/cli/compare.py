"""`shutdownlab compare`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from shutdownlab.cli.options import Choices, ScenarioName, as_mapping, as_pairs
from shutdownlab.cli.program import bad_option, naming_options, user_errors


def compare(
    scenario: ScenarioName,
    with_: Annotated[
        Path, typer.Option("--with", metavar="FILE.csv", help="A published series: IODA's, Radar's, your own.")
    ],
    signal: Annotated[
        str | None,
        typer.Option(
            "--signal", metavar="NAME", help="The signal that the series measures.", show_default="by its column's name"
        ),
    ] = None,
    operator: Annotated[str, typer.Option("--operator", metavar="NAME", help="Only this operator.")] = "",
    region: Annotated[str, typer.Option("--region", metavar="NAME", help="Only this region.")] = "",
    family: Annotated[
        Literal["ipv4", "ipv6"] | None,
        typer.Option("--family", metavar="ipv4|ipv6", help="Only this address family.", show_default="both, or IPv4"),
    ] = None,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="The column of the values, if there are several.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", metavar="+HH:MM", help="The time zone, if the times name none.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="COLUMN=VALUE", help="Only these rows, if the file has several series."),
    ] = None,
    choose: Choices = None,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", metavar="table|json", help="Output format.")
    ] = "table",
) -> None:
    from shutdownlab.reporting import overlaid
    from shutdownlab.verifier import published as model

    with user_errors(), naming_options("choose", "signal", "operator", "region"):
        rows = as_pairs(where, "--where", "COLUMN=VALUE", "such as --where country=kz")
        found = model.compare(
            scenario, _read(with_), file=str(with_), signal=signal, operator=operator, region=region,
            family=family, column=column, zone=_offset(zone), where=rows, choose=as_mapping(choose),
        )  # fmt: skip
    if form == "table":
        overlaid.print_overlay(found, Console(highlight=False))
    else:
        typer.echo(overlaid.as_json(found))


def _offset(text: str | None) -> timedelta | None:
    from shutdownlab.config.document import Expected
    from shutdownlab.config.scalars import utc_offset

    if text is None:
        return None
    try:
        return timedelta(seconds=utc_offset(text))
    except Expected as expected:
        bad_option("--zone", text, str(expected), expected.hint)


def _read(path: Path) -> bytes:
    from shutdownlab.config.beside import NotReadable, read_file
    from shutdownlab.verifier.published import MOST_BYTES

    try:
        return read_file(path, MOST_BYTES)
    except NotReadable as why:
        bad_option("--with", f"{path}, {why}", "a file that can be read")
