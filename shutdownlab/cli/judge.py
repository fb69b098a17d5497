"""`shutdownlab judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from shutdownlab.cli.options import STANDARD_INPUT
from shutdownlab.cli.program import EXIT_BAD_INPUT, errors, naming_options, say, user_errors


def judge(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="OONI measurements, a JSON object a line, also compressed (gzip, bzip2, xz, zstd, lz4); - is standard "
            "input.",
        ),
    ],
    format_: Annotated[
        Literal["table", "jsonl"], typer.Option("--format", metavar="table|jsonl", help="Output format.")
    ] = "table",
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules",
            metavar="v0.4|v0.5|v0.5.27",
            help="Apply these rules to all websites.",
            show_default="the rules of each measurement's own version",
        ),
    ] = None,
) -> None:
    from shutdownlab.config.problems import BadInput
    from shutdownlab.ooni.reading import judge as judged
    from shutdownlab.reporting.judgements import judgement_lines, judgement_table, summary_of

    with user_errors(), naming_options("rules"):
        judgements = judged(STANDARD_INPUT if str(file) == "-" else file, rules=rules)
        for line in (judgement_lines if format_ == "jsonl" else judgement_table)(judgements):
            say(line)
    typer.echo(summary_of(judgements), err=format_ == "jsonl")
    if judgements.problems:
        found = BadInput(judgements.problems)
        for line in found.lines():
            errors().print(line, markup=False)
        rest = "all others were judged" if judgements.judged or judgements.passed_over else "nothing was judged"
        errors().print(f"[red]{found.count:,} problem{'s' if found.count > 1 else ''} found[/red]; {rest}.")
        raise typer.Exit(EXIT_BAD_INPUT)
